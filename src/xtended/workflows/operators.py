"""Which operators a workflow may name, and what those of Airflow 1 and 2 are called now."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from xtended.problems import BadRequest

_STANDARD = "airflow.providers.standard"
MOVED = {
    "BashOperator": f"{_STANDARD}.operators.bash",
    "PythonOperator": f"{_STANDARD}.operators.python",
    "BranchPythonOperator": f"{_STANDARD}.operators.python",
    "ShortCircuitOperator": f"{_STANDARD}.operators.python",
    "PythonVirtualenvOperator": f"{_STANDARD}.operators.python",
    "ExternalPythonOperator": f"{_STANDARD}.operators.python",
    "EmptyOperator": f"{_STANDARD}.operators.empty",
    "LatestOnlyOperator": f"{_STANDARD}.operators.latest_only",
    "TriggerDagRunOperator": f"{_STANDARD}.operators.trigger_dagrun",
    "BranchDateTimeOperator": f"{_STANDARD}.operators.datetime",
    "BranchDayOfWeekOperator": f"{_STANDARD}.operators.weekday",
    "BashSensor": f"{_STANDARD}.sensors.bash",
    "DateTimeSensor": f"{_STANDARD}.sensors.date_time",
    "ExternalTaskSensor": f"{_STANDARD}.sensors.external_task",
    "ExternalTaskMarker": f"{_STANDARD}.sensors.external_task",
    "FileSensor": f"{_STANDARD}.sensors.filesystem",
    "PythonSensor": f"{_STANDARD}.sensors.python",
    "TimeSensor": f"{_STANDARD}.sensors.time",
    "TimeDeltaSensor": f"{_STANDARD}.sensors.time_delta",
    "DayOfWeekSensor": f"{_STANDARD}.sensors.weekday",
}
"""The modules of what Airflow 1 and 2 had in `airflow.operators` and `airflow.sensors`."""
_RENAMED = {"DummyOperator": "EmptyOperator"}
_OLDER = ("airflow.operators.", "airflow.sensors.", "airflow.contrib.operators.", "airflow.contrib.sensors.")


def current_path(path: str) -> str:
    """The operator's path on either host, whatever Airflow the given one is of."""
    _, _, name = path.rpartition(".")
    name = _RENAMED.get(name, name)
    if path.startswith(_OLDER) and name in MOVED:
        return f"{MOVED[name]}.{name}"
    return path


def allowed_path(path: str, patterns: Collection[str]) -> str:
    """The current path of an operator that the settings allow. Raises BadRequest."""
    current = current_path(path)
    parts = current.split(".")
    named = len(parts) > 1 and all(part.isidentifier() and not part.startswith("_") for part in parts)
    if not named or not any(fnmatchcase(current, pattern) for pattern in patterns):
        raise BadRequest(
            f"{path!r} is not among the operators that a workflow may name: "
            "see [xtended_api] workflow_operators.",
            operator=path,
        )
    return current
