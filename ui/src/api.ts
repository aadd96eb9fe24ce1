import {
  Configuration,
  DeploymentApi,
  HistoryApi,
  OperationsApi,
  ProblemError,
} from "@airflow-xtended/client";

// The page is served at <Airflow>/xtended_api/deployments/.
const airflow = new URL("../..", document.baseURI).pathname.replace(/\/$/, "");
const configuration = new Configuration({
  basePath: `${airflow}/api/v1/xtended`,
  credentials: "same-origin",
  // Or the browser itself would ask for a password where the session has ended.
  headers: { "X-Requested-With": "XMLHttpRequest" },
});

export const deployment = new DeploymentApi(configuration);
export const history = new HistoryApi(configuration);
export const operations = new OperationsApi(configuration);

/** Fired on `window` when the DAG folder has changed by this page's hand. */
export const CHANGED = "xtended-changed";

/** What to say of anything that was thrown. */
export function explained(error: unknown): string {
  if (error instanceof ProblemError) {
    return error.status === 401 ? "You are not logged in to Airflow, or no more: log in and try again." : error.detail;
  }
  return error instanceof Error ? `Airflow can't be reached: ${error.message}` : String(error);
}
