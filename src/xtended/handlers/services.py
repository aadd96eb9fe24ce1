"""Airflow's long-running processes: start them, end them, see which run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import airflow_services
from xtended.airflow_host.base import ServiceName
from xtended.api import Call
from xtended.daemons import Daemon


def list_services(call: Call) -> Mapping[str, Any]:
    found = [
        {"name": each.name, "missing": each.missing, **_shown(call, each.daemon)}
        for each in airflow_services.listed(call)
    ]
    running = [each["name"] for each in found if each["state"] == "running"]
    return {"status": "success", "message": f"running: {', '.join(running) or 'none'}", "services": found}


def start_service(call: Call, name: ServiceName, **arguments: Any) -> Mapping[str, Any]:
    daemon = airflow_services.start(call, name, arguments)
    return {
        "status": "success",
        "message": f"Service {name} has been started",
        "service": {"name": name, "missing": None, **_shown(call, daemon)},
    }


def stop_service(call: Call, name: ServiceName) -> Mapping[str, Any]:
    airflow_services.stop(call, name)
    return {"status": "success", "message": f"Service {name} has been stopped"}


def _shown(call: Call, daemon: Daemon | None) -> dict[str, Any]:
    if daemon is None:
        return {"state": "stopped", "pid": None, "user": None, "started": None, "arguments": {}, "log": None}
    return {
        "state": "stopped" if daemon.pid is None else "running",
        "pid": daemon.pid,
        "user": daemon.user,
        "started": daemon.started,
        "arguments": dict(daemon.arguments),
        "log": airflow_services.relative_log(call, daemon),
    }
