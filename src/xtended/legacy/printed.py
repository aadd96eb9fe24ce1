"""What the older commands printed, from what the operations answer."""

from __future__ import annotations

import json
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


def log(answer: Mapping[str, Any]) -> str:
    return str(answer["log"])


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


def variable(answer: Mapping[str, Any]) -> str:
    return str(answer.get("data", answer["value"]))


def exported(answer: Mapping[str, Any]) -> str:
    return json.dumps(answer["variables"], indent=4, sort_keys=True)


def connections(answer: Mapping[str, Any]) -> str:
    rows = ["Conn Id | Conn Type | Host | Port"]
    rows += [
        f"{each['conn_id']} | {each['conn_type']} | {each['host']} | {each['port']}"
        for each in answer["connections"]
    ]
    return "\n".join(rows)


def pool(answer: Mapping[str, Any]) -> str:
    return f"{answer['name']} | {answer['slots']} | {answer['description']}"


def pools(answer: Mapping[str, Any]) -> str:
    return "\n".join(["Pool | Slots | Description", *map(pool, answer["pools"])])
