"""Every operation lets in whom its x-airflow-access says, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contract.server import CHECKOUT, Server

METHODS = ("get", "post", "put", "patch", "delete")
CALLERS = (None, "viewer", "user", "op", "admin")
# What Airflow's own roles may do to DAGs, in each auth manager that the suite runs.
READ = {"GET"}
CHANGE = {"GET", "POST", "PUT", "DELETE"}
RIGHTS = {None: set(), "viewer": READ, "user": CHANGE, "op": CHANGE, "admin": CHANGE}


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    spec = yaml.safe_load((CHECKOUT / "openapi" / "xtended.yaml").read_text())
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _let_in(rule: dict[str, Any], caller: str | None) -> bool:
    if rule["scope"] == "open":
        return True
    if caller is None:
        return False
    return rule["scope"] == "authenticated" or rule["method"] in RIGHTS[caller]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(
    ("path", "method", "operation"),
    [pytest.param(*each, id=each[2]["operationId"]) for each in _operations()],
)
def test_an_operation_lets_in_whom_it_declares(
    server: Server, path: str, method: str, operation: dict[str, Any], caller: str | None
) -> None:
    # Malformed on purpose: who is let in meets a 400, who is not a 401 or 403, and nothing is changed.
    address = path.replace("{", "").replace("}", "")
    answer = server.client(caller).request(method.upper(), address, params={"no_such_parameter": "x"})
    expected = _let_in(operation["x-airflow-access"], caller)
    if expected:
        assert answer.status_code not in (401, 403), answer.text
        assert answer.status_code < 500, answer.text
    else:
        assert answer.status_code == (401 if caller is None else 403), answer.text


def test_the_spec_is_where_this_test_looks_for_it() -> None:
    assert len(list(_operations())) > 10
    assert Path(CHECKOUT / "openapi" / "xtended.yaml").is_file()
