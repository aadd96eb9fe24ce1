"""What Airflow 2 is told of the extension when it loads its plugins: little, because every process does that."""

from __future__ import annotations

from typing import Any

from airflow import settings

from xtended.airflow_host.mounting import on_demand
from xtended.web_pages import is_built

PAGES = "xtended_api"
CATEGORY = "Xtended API"


def mount_points() -> dict[str, Any]:
    """Attributes of an `AirflowPlugin`."""
    see_changes_at_once()
    return {
        "flask_blueprints": on_demand(_blueprints),
        # Airflow makes an address of the endpoint's name, wherever the webserver is served.
        "appbuilder_menu_items": [
            {"name": "Reference Docs", "category": CATEGORY, "href": f"{PAGES}.landing"},
        ],
        "appbuilder_views": on_demand(_views),
    }


def see_changes_at_once() -> None:
    """Have this process ask for a newer form of a DAG from the moment on that it has loaded it.

    For the first seconds after that, Airflow does not look: a scheduler would take the tasks of a new run for
    removed ones when their DAG was deployed anew in between, and a webserver would create the run without them.
    Later on it looks each time anyway.
    """
    settings.MIN_SERIALIZED_DAG_FETCH_INTERVAL = 0


def _blueprints() -> list[Any]:
    from xtended.airflow_host.airflow2.blueprints import blueprints

    return blueprints()


def _views() -> list[Any]:
    from xtended.airflow_host.airflow2.deployments_view import DeploymentsView

    if not is_built():
        return []
    return [{"name": "Deployments", "category": CATEGORY, "view": DeploymentsView()}]
