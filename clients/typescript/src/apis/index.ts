/* tslint:disable */
/* eslint-disable */
export * from './DeploymentApi.js';
export * from './EntitiesApi.js';
export * from './HistoryApi.js';
export * from './OlderUrlsApi.js';
export * from './OperationsApi.js';
export * from './RefreshApi.js';
export * from './RunsApi.js';
export * from './SecurityApi.js';
export * from './ServicesApi.js';
export * from './SyncApi.js';
export * from './SystemApi.js';
export * from './TasksApi.js';
export * from './WorkflowsApi.js';
