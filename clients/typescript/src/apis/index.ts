/* tslint:disable */
/* eslint-disable */
export * from './DeploymentApi';
export * from './EntitiesApi';
export * from './HistoryApi';
export * from './OlderUrlsApi';
export * from './OperationsApi';
export * from './RefreshApi';
export * from './RunsApi';
export * from './SecurityApi';
export * from './ServicesApi';
export * from './SyncApi';
export * from './SystemApi';
export * from './TasksApi';
export * from './WorkflowsApi';
