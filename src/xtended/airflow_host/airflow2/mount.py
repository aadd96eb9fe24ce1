"""What Airflow 2 is told of the extension when it loads its plugins: little, because every process does that."""

from __future__ import annotations

from typing import Any

PAGES = "xtended_api"


def mount_points() -> dict[str, Any]:
    """Attributes of an `AirflowPlugin`."""
    return {
        "flask_blueprints": property(_blueprints),
        # Airflow makes an address of the endpoint's name, wherever the webserver is served.
        "appbuilder_menu_items": [
            {"name": "Reference Docs", "category": "Xtended API", "href": f"{PAGES}.landing"},
        ],
    }


def _blueprints(plugin: object) -> list[Any]:
    # Only the webserver asks for these: no task is to wait until all of it is imported.
    from xtended.airflow_host.airflow2.blueprints import blueprints

    return list(blueprints())
