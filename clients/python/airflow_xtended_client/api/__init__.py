# flake8: noqa

__all__ = [
    "DeploymentApi",
    "EntitiesApi",
    "HistoryApi",
    "OlderUrlsApi",
    "OperationsApi",
    "RefreshApi",
    "RunsApi",
    "SecurityApi",
    "ServicesApi",
    "SyncApi",
    "SystemApi",
    "TasksApi",
    "WorkflowsApi",
]

import typing as _typing

if _typing.TYPE_CHECKING:
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

else:
    from importlib import import_module

    _exports = {
        "DeploymentApi": ".deployment_api",
        "EntitiesApi": ".entities_api",
        "HistoryApi": ".history_api",
        "OlderUrlsApi": ".older_urls_api",
        "OperationsApi": ".operations_api",
        "RefreshApi": ".refresh_api",
        "RunsApi": ".runs_api",
        "SecurityApi": ".security_api",
        "ServicesApi": ".services_api",
        "SyncApi": ".sync_api",
        "SystemApi": ".system_api",
        "TasksApi": ".tasks_api",
        "WorkflowsApi": ".workflows_api",
    }

    def __getattr__(name: str) -> object:
        if (module_name := _exports.get(name)) is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(module_name, __name__), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(globals().keys() | _exports.keys())
