"""How Airflow's own long-running processes are started, and what each needs beside Airflow."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from airflow.configuration import conf

from xtended.airflow_host.base import ServiceName
from xtended.problems import Conflict

_AIRFLOW = (sys.executable, "-m", "airflow")
# Neither version of Airflow has a command for it any more: workers serve their logs themselves.
_SERVE_LOGS = (sys.executable, "-c", "from airflow.utils.serve_logs import serve_logs; serve_logs()")
_COMMANDS: Mapping[ServiceName, Sequence[str]] = {
    "scheduler": (*_AIRFLOW, "scheduler"),
    "worker": (*_AIRFLOW, "celery", "worker"),
    "flower": (*_AIRFLOW, "celery", "flower"),
    "kerberos": (*_AIRFLOW, "kerberos"),
    "serve_logs": _SERVE_LOGS,
}
_PACKAGES = {
    "worker": ("airflow.providers.celery", "apache-airflow-providers-celery"),
    "flower": ("flower", "flower"),
}


def service_command(name: ServiceName) -> Sequence[str]:
    """The program and its first arguments. Raises Conflict, naming what is not installed."""
    module, package = _PACKAGES.get(name, (None, ""))
    if module is not None and not _installed(module):
        raise Conflict(f"The service {name!r} needs the package {package}, which is not installed here.")
    if name == "flower" and not _installed("airflow.providers.celery"):
        raise Conflict("The service 'flower' needs the package apache-airflow-providers-celery, too.")
    if name == "kerberos":
        kinit = conf.get("kerberos", "kinit_path", fallback="kinit")
        if shutil.which(kinit) is None:
            raise Conflict(
                "The service 'kerberos' needs Kerberos' program kinit, which is not installed here."
            )
    return _COMMANDS[name]


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
