"""What Airflow 3 is told of the extension when it loads its plugins: little, because every process does that."""

from __future__ import annotations

from typing import Any

from xtended.airflow_host.mounting import on_demand


def mount_points() -> dict[str, Any]:
    """Attributes of an `AirflowPlugin`."""
    return {"fastapi_apps": on_demand(_apps), "external_views": on_demand(_views)}


def _apps() -> list[dict[str, Any]]:
    from xtended.airflow_host.airflow3.apps import fastapi_apps

    return fastapi_apps()


def _views() -> list[dict[str, Any]]:
    from xtended.airflow_host.airflow3.apps import external_views

    return external_views()
