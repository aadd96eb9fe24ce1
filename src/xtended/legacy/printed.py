"""What the older commands printed, from what the operations answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def message(answer: Mapping[str, Any]) -> str:
    return str(answer["message"])


def airflow_version(answer: Mapping[str, Any]) -> str:
    return str(answer["airflow"])


def own_version(answer: Mapping[str, Any]) -> str:
    return str(answer["version"])


def state(answer: Mapping[str, Any]) -> str:
    return str(answer["state"])


def dags(answer: Mapping[str, Any]) -> str:
    """The ids, one a line; with a report, a table of the files below them."""
    lines = [answer["message"]]
    if "report" in answer:
        lines += ["", "file | duration | dag_num | dags"]
        lines += [
            f"{file['file']} | {file['parse_seconds']} | {file['dag_count']} | {file['dag_ids']}"
            for file in answer["report"]
        ]
    return "\n".join(lines)
