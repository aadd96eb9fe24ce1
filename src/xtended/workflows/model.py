"""A workflow as it is sent -> the configuration that is kept: checked, and the same for either host."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from xtended.problems import BadRequest
from xtended.settings import parse_boolean
from xtended.workflows.operators import allowed_path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
_ID = re.compile(r"[\w.-]{1,250}")
_CALLABLE_FILE = re.compile(r"[A-Za-z_]\w*\.py")
_CALLABLE_NAME = re.compile(r"[A-Za-z]\w*")
_WITHOUT_EFFECT = ("default_view", "orientation")
# What decides where and as whom a task runs is the server's, and code is named by file and name alone.
_REFUSED = frozenset({"dag", "task_id", "task_group", "python_callable", "run_as_user", "executor_config"})


@dataclass(frozen=True)
class Workflow:
    """One workflow; `dags` is the configuration by DAG id, as it is kept."""

    name: str
    dags: Mapping[str, Any]
    force: bool
    pause: bool
    unpause: bool
    warnings: tuple[str, ...]


def read_workflow(sent: Mapping[str, Any], operators: Collection[str], callables: Path) -> Workflow:
    """Check what the schema can't. Raises BadRequest, with `pointer` to what is wrong."""
    name = check_name(sent["name"])
    where = f"/workflow/dag_config/{name}"
    dags, warnings = {}, []
    for dag_id, config in sent["dag_config"].items():
        where = f"/workflow/dag_config/{dag_id}"
        _match(_ID, dag_id, where, "the id of a DAG")
        warnings += [f"{key} has no effect." for key in _WITHOUT_EFFECT if key in config]
        kept = {key: value for key, value in config.items() if key not in _WITHOUT_EFFECT}
        _check_dates(config.get("default_args", {}), f"{where}/default_args")
        kept["tasks"] = {
            task_id: _task(task_id, task, config["tasks"], f"{where}/tasks/{task_id}", operators, callables)
            for task_id, task in config["tasks"].items()
        }
        dags[dag_id] = kept
    flags = {key: _flag(sent.get(key, False), f"/workflow/{key}") for key in ("force", "pause", "unpause")}
    if flags["pause"] and flags["unpause"]:
        raise _wrong("/workflow/pause", "pause and unpause contradict each other: set one of them.")
    return Workflow(name, dags, warnings=tuple(dict.fromkeys(warnings)), **flags)


def check_name(name: str) -> str:
    """A workflow's name, which is that of its files. Raises BadRequest."""
    return _match(_NAME, name, "/workflow/name", "a name of letters, digits, - and _")


def _task(
    task_id: str,
    task: Mapping[str, Any],
    all_tasks: Collection[str],
    where: str,
    operators: Collection[str],
    callables: Path,
) -> dict[str, Any]:
    _match(_ID, task_id, where, "the id of a task")
    for key in task:
        if key in _REFUSED or key.startswith("_") or not key.isidentifier():
            raise _wrong(f"{where}/{key}", f"{key!r} can't be an argument of a workflow's task.")
    for upstream in task.get("dependencies", ()):
        if upstream not in all_tasks or upstream == task_id:
            raise _wrong(f"{where}/dependencies", f"{upstream!r} is no other task of this DAG.")
    if ("python_callable_name" in task) is not ("python_callable_file" in task):
        raise _wrong(where, "python_callable_name and python_callable_file belong together.")
    if "python_callable_file" in task:
        file = _match(_CALLABLE_FILE, task["python_callable_file"], f"{where}/python_callable_file", "a file")
        _match(_CALLABLE_NAME, task["python_callable_name"], f"{where}/python_callable_name", "a function")
        if not (callables / file).is_file():
            raise _wrong(
                f"{where}/python_callable_file", f"There is no {file!r} among the managed operators."
            )
    _check_dates(task, where)
    try:
        operator = allowed_path(task["operator"], operators)
    except BadRequest as problem:
        raise _wrong(f"{where}/operator", problem.detail) from None
    return {**task, "operator": operator}


def _check_dates(fields: Mapping[str, Any], where: str) -> None:
    for key in ("start_date", "end_date"):
        if fields.get(key) is not None:
            try:
                datetime.fromisoformat(fields[key])
            except (TypeError, ValueError):
                raise _wrong(f"{where}/{key}", f"{fields[key]!r} is no ISO 8601 date.") from None
    for key, value in fields.items():
        if key.endswith("_sec") and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise _wrong(f"{where}/{key}", f"{value!r} is no number of seconds.")


def _flag(value: Any, where: str) -> bool:
    try:
        return value if isinstance(value, bool) else parse_boolean(value)
    except (AttributeError, ValueError):
        raise _wrong(where, f"{value!r} is not a boolean.") from None


def _match(pattern: re.Pattern[str], text: Any, where: str, what: str) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise _wrong(where, f"{text!r} can't be {what}.")
    return text


def _wrong(pointer: str, detail: str) -> BadRequest:
    return BadRequest(f"{pointer}: {detail}", pointer=pointer)
