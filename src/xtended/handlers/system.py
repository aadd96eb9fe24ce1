"""What is installed here, and whether it works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import __version__
from xtended.api import Call
from xtended.problems import Problem, Unavailable
from xtended.services import Services


def get_version(call: Call) -> Mapping[str, Any]:
    versions = call.services.host.versions()
    return {
        "status": "success",
        "message": f"Airflow Xtended {__version__} on Airflow {versions.airflow}",
        "version": __version__,
        "airflow": versions.airflow,
        "connexion": versions.connexion,
        "host": versions.host,
    }


def get_health(services: Services) -> Mapping[str, Any]:
    """Raises Unavailable, with each part's state as a member."""
    parts: dict[str, Any] = {
        "parser": "ok" if services.parser.alive() else "does not answer",
        "dag_folder": _folder_state(services),
        "database": "ok" if services.host.catalogue.reachable() else "does not answer",
    }
    broken = [f"{name}: {state}" for name, state in parts.items() if state != "ok"]
    if broken:
        raise Unavailable("; ".join(broken), **parts)
    return {"status": "success", "message": "healthy", **parts}


def _folder_state(services: Services) -> str:
    try:
        services.store().check_writable()
    except Problem as problem:
        return problem.detail
    return "ok"
