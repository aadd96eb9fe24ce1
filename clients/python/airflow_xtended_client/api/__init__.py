# flake8: noqa

# import apis into api package
from airflow_xtended_client.api.deployment_api import DeploymentApi
from airflow_xtended_client.api.entities_api import EntitiesApi
from airflow_xtended_client.api.history_api import HistoryApi
from airflow_xtended_client.api.older_urls_api import OlderUrlsApi
from airflow_xtended_client.api.operations_api import OperationsApi
from airflow_xtended_client.api.refresh_api import RefreshApi
from airflow_xtended_client.api.runs_api import RunsApi
from airflow_xtended_client.api.security_api import SecurityApi
from airflow_xtended_client.api.services_api import ServicesApi
from airflow_xtended_client.api.sync_api import SyncApi
from airflow_xtended_client.api.system_api import SystemApi
from airflow_xtended_client.api.tasks_api import TasksApi
from airflow_xtended_client.api.workflows_api import WorkflowsApi
