"""What start-up refuses in a spec, and what an operation answers."""

from __future__ import annotations

import copy
import logging
import types
from typing import Any, ClassVar

import pytest

from xtended import api
from xtended.access import Rule
from xtended.airflow_host.identity import User
from xtended.api import Envelope, Operation
from xtended.contract import METHODS, FormBooleans, Paths, SpecError, load_spec, read_operations
from xtended.problems import NotFound, Unavailable

SOMEONE = User("someone", None)


# A request without any header.
BARE = Envelope(header=lambda name: None, address=lambda: "127.0.0.1")


@pytest.fixture
def spec() -> dict[str, Any]:
    """The contract, to be damaged."""
    return copy.deepcopy(load_spec())


def test_the_contract_can_be_served(spec: dict[str, Any]) -> None:
    operations = read_operations(spec)
    declared = sum(1 for item in spec["paths"].values() for method in METHODS if method in item)
    assert len(operations) == declared
    for name, operation in operations.items():
        assert operation.id == name
        # A link in a page must not change anything: none of the older GET forms takes the session.
        if operation.successor is not None:
            security = spec["paths"][operation.path]["get"]["security"]
            assert security[:2] == [{"basic": []}, {"bearer": []}], name
            assert {"session": []} not in security, name
        if operation.method == "get" and operation.rule.method != "GET":
            assert operation.successor is not None, name


def damage(spec: dict[str, Any], **changes: Any) -> dict[str, Any]:
    operation = spec["paths"]["/purge_dags"]["get"]
    for key, value in changes.items():
        key = key.replace("_", "-")
        if value is None:
            operation.pop(key)
        else:
            operation[key] = value
    return spec


@pytest.mark.parametrize(
    "changes",
    [
        {"operationId": "purge_dags"},
        {"operationId": None},
        {"operationId": "no_such_handler"},
        {"x_airflow_access": None},
        {"x_airflow_access": {"scope": "everyone"}},
        {"x_airflow_access": {"scope": "open"}},
        {"x_openapi_router_controller": None},
        {"x_openapi_router_controller": "xtended.handlers.nothing"},
        {"x_successor": None},
        {"security": []},
    ],
)
def test_an_operation_that_can_not_be_served_safely_is_refused(
    spec: dict[str, Any], changes: dict[str, Any]
) -> None:
    with pytest.raises(SpecError, match=r"(GET|POST) /purge_dags"):
        read_operations(damage(spec, **changes))


def test_every_wrong_operation_is_named(spec: dict[str, Any]) -> None:
    spec["paths"]["/health"]["get"].pop("x-airflow-access")
    with pytest.raises(SpecError) as refused:
        read_operations(damage(spec, x_successor=None))
    assert "GET /health" in str(refused.value)
    assert "GET /purge_dags" in str(refused.value)


def operation(handler: Any, **more: Any) -> Operation:
    fields = {
        "id": "some_thing",
        "path": "/some",
        "method": "get",
        "rule": Rule("authenticated"),
        "successor": None,
    }
    return Operation(**{**fields, "handler": handler, **more})


def at_host(**methods: Any) -> types.SimpleNamespace:
    """Services of a host that has no more than these."""
    return types.SimpleNamespace(host=types.SimpleNamespace(**methods))


def test_a_problem_of_a_handler_is_the_answer() -> None:
    def handler(call: api.Call) -> dict[str, Any]:
        raise NotFound("no such thing", headers={"X-Hint": "1"}, dag_ids=["a"])

    body, status, headers = operation(handler)(types.SimpleNamespace(), SOMEONE, {}, BARE)
    assert (status, body["detail"], body["dag_ids"]) == (404, "no such thing", ["a"])
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Hint"] == "1"


def test_a_failure_is_logged_and_tells_the_client_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def handler(call: api.Call) -> dict[str, Any]:
        raise RuntimeError("/secret/place and a password")

    with caplog.at_level(logging.ERROR):
        body, status, _ = operation(handler)(at_host(problem_of=lambda error: None), SOMEONE, {}, BARE)
    assert status == 500
    assert "secret" not in str(body)
    assert "/secret/place" in caplog.text


def test_a_failure_that_the_host_understands_is_its_problem(caplog: pytest.LogCaptureFixture) -> None:
    def handler(call: api.Call) -> dict[str, Any]:
        raise RuntimeError("the database at /secret/place")

    services = at_host(problem_of=lambda error: Unavailable("Try again.", headers={"Retry-After": "2"}))
    with caplog.at_level(logging.ERROR):
        body, status, headers = operation(handler)(services, SOMEONE, {}, BARE)
    assert (status, body["detail"], headers["Retry-After"]) == (503, "Try again.", "2")
    assert "/secret/place" in caplog.text


def test_nobody_reaches_a_handler_that_is_not_open() -> None:
    def handler(*_: Any) -> dict[str, Any]:
        pytest.fail("it was reached")

    _, status, headers = operation(handler)(types.SimpleNamespace(), None, {}, BARE)
    assert status == 401
    assert "WWW-Authenticate" in headers


def test_a_text_field_is_no_file() -> None:
    def handler(*_: Any, **__: Any) -> dict[str, Any]:
        pytest.fail("it was reached")

    sent = {"body": {"dag_file": "import airflow"}}
    body, status, _ = operation(handler, files=frozenset({"dag_file"}))(
        types.SimpleNamespace(), SOMEONE, sent, BARE
    )
    assert status == 400
    assert "dag_file" in body["detail"]


def test_a_deprecated_form_says_so_on_every_answer() -> None:
    def fine(call: api.Call) -> dict[str, Any]:
        return {"status": "success"}

    def wrong(call: api.Call) -> dict[str, Any]:
        raise NotFound("no")

    for handler in (fine, wrong):
        _, _, headers = operation(handler, successor="/other")(types.SimpleNamespace(), SOMEONE, {}, BARE)
        assert headers["Deprecation"].startswith("@")
        assert headers["Link"] == '</api/v1/xtended/other>; rel="successor-version"'


def test_the_methods_of_a_path_are_all_known(spec: dict[str, Any]) -> None:
    paths = Paths(read_operations(spec))
    assert sorted(paths.methods("/delete_dag")) == ["DELETE", "GET"]
    assert paths.methods("/files/team/a.py") == ["GET"]
    assert paths.methods("/files//etc/passwd") == []
    assert paths.methods("/no_such_path") == []


class Resolved:
    """What Connexion's parser does next, as far as this matters here: nothing."""

    form_defns: dict[str, Any]
    param_schemas: dict[str, Any]

    def resolve_form(self, form_data: dict[str, Any]) -> dict[str, Any]:
        return form_data

    def resolve_params(self, params: dict[str, Any], _in: str) -> dict[str, Any]:
        return params


class Parser(FormBooleans, Resolved):
    form_defns: ClassVar = {"force": {"type": "boolean"}, "filename": {"type": "string"}}
    param_schemas = form_defns


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("y", "true"),
        ("On", "true"),
        (" 1 ", "true"),
        ("N", "false"),
        ("off", "false"),
        ("maybe", "maybe"),
        ("", ""),
    ],
)
def test_booleans_are_spelled_for_connexion_and_other_fields_are_left_alone(word: str, known: str) -> None:
    sent = {"force": word, "filename": word, "undeclared": word}
    expected = {"force": known, "filename": word, "undeclared": word}
    assert Parser().resolve_form(sent) == expected
    assert Parser().resolve_params(sent, "query") == expected


def test_repeated_booleans_are_each_spelled() -> None:
    assert Parser().resolve_params({"force": ["y", "n"]}, "query") == {"force": ["true", "false"]}
