"""Every operation lets in whom its x-airflow-access says, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from contract.checks import problem
from contract.server import CHECKOUT, PREFIX, Server

SPEC = yaml.safe_load((CHECKOUT / "openapi" / "xtended.yaml").read_text())
METHODS = ("get", "post", "put", "patch", "delete")
# No password is good for these, whoever's.
REFRESH_ONLY = [{"refresh_token": []}]
CALLERS = (None, "viewer", "user", "op", "admin")
# What Airflow's own roles may do to DAGs, in each auth manager that the suite runs.
READ = {"GET"}
CHANGE = {"GET", "POST", "PUT", "DELETE"}
RIGHTS = {None: set(), "viewer": READ, "user": CHANGE, "op": CHANGE, "admin": CHANGE}
# Of what is not a DAG: whoever may see pools may not see the others, which hold secrets.
SECRETS = {None: set(), "viewer": set(), "user": set(), "op": CHANGE, "admin": CHANGE}
OTHER_RIGHTS = {
    "variables": SECRETS,
    "connections": SECRETS,
    "administrator": {None: set(), "viewer": set(), "user": set(), "op": set(), "admin": CHANGE},
    "pools": {**SECRETS, "viewer": READ, "user": READ},
}


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in SPEC["paths"].items():
        for method in METHODS:
            # What the older URLs let in is what the operation lets in that a function is.
            if method in item and item[method]["tags"] != ["older urls"]:
                yield path, method, item[method]


def _harmless(operation: dict[str, Any]) -> dict[str, str]:
    """A query that reaches the operation and leaves files and runs as they are."""
    query = {}
    for parameter in operation.get("parameters", ()):
        declared = (
            SPEC["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
            if "$ref" in parameter
            else parameter
        )
        if declared["name"] == "dry_run":
            query["dry_run"] = "true"
        elif declared["name"] == "dag_id" or declared.get("required"):
            query[declared["name"]] = "no-such-thing.py"
    return query


def _let_in(operation: dict[str, Any], caller: str | None) -> bool:
    rule = operation["x-airflow-access"]
    if rule["scope"] in ("open", "login"):
        return True
    if operation.get("security") == REFRESH_ONLY:
        return False
    if caller is None:
        return False
    rights = OTHER_RIGHTS.get(rule["scope"], RIGHTS)
    return rule["scope"] == "authenticated" or rule["method"] in rights[caller]


@pytest.fixture(params=["server", "fab"])
def either(request: pytest.FixtureRequest) -> Server:
    """The server of each auth manager."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(
    ("path", "method", "operation"),
    [pytest.param(*each, id=each[2]["operationId"]) for each in _operations()],
)
def test_an_operation_lets_in_whom_it_declares(
    either: Server, path: str, method: str, operation: dict[str, Any], caller: str | None
) -> None:
    # Malformed on purpose: who is let in meets a 400, who is not a 401 or 403, and nothing is changed.
    address = path.replace("{", "").replace("}", "")
    answer = either.client(caller).request(method.upper(), address, params={"no_such_parameter": "x"})
    expected = _let_in(operation, caller)
    if expected:
        assert answer.status_code not in (401, 403), answer.text
        assert answer.status_code < 500, answer.text
    else:
        unknown = caller is None or operation.get("security") == REFRESH_ONLY
        assert answer.status_code == (401 if unknown else 403), answer.text


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        pytest.param(path, operation, id=operation["operationId"])
        for path, method, operation in _operations()
        if operation.get("deprecated")
    ],
)
def test_every_older_form_says_what_replaces_it_and_never_takes_the_session(
    server: Server, path: str, operation: dict[str, Any]
) -> None:
    # Malformed on purpose, so that nothing is changed.
    query = {"no_such_parameter": "x"}
    session = {
        "Cookie": f"{server.airflow.session_cookie}={server.airflow.session('admin', server.passwords['admin'])}"
    }
    answer = server.client(None).get(path, params=query, headers={**session, "Sec-Fetch-Site": "same-origin"})
    problem(answer, 401, "unauthenticated")
    answer = server.admin.get(path, params=_harmless(operation))
    assert answer.status_code < 500, answer.text
    assert answer.headers["deprecation"].startswith("@")
    assert answer.headers["link"] == f'<{PREFIX}{operation["x-successor"]}>; rel="successor-version"'
