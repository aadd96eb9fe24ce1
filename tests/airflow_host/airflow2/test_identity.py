"""The webserver's own backends and auth manager decide who someone is and what they may."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import add_user

from xtended.airflow_host.airflow2.identity import WebserverIdentity
from xtended.airflow_host.identity import BasicCredentials, BearerCredentials, SessionCredentials, User


@pytest.fixture
def identity() -> WebserverIdentity:
    return WebserverIdentity(60.0)


@pytest.fixture
def in_request(app: Any) -> Iterator[None]:
    with app.test_request_context("/api/v1/xtended/version"):
        yield


def person(app: Any, *rights: tuple[str, str]) -> str:
    """A user with these rights alone."""
    name = f"user_{uuid.uuid4().hex[:8]}"
    manager = app.appbuilder.sm
    role = manager.add_role(f"role of {name}")
    for action, resource in rights:
        manager.add_permission_to_role(role, manager.create_permission(action, resource))
    add_user(app, name, role)
    return name


def login(identity: WebserverIdentity, name: str) -> User:
    user = identity.authenticate(BasicCredentials(name, name))
    assert user is not None
    assert user.name == name
    return user


def session_cookie(app: Any, name: str) -> str:
    client = app.test_client()
    page = client.get("/login/").text
    token = page.partition('name="csrf_token" type="hidden" value="')[2].partition('"')[0]
    client.post("/login/", data={"csrf_token": token, "username": name, "password": name})
    return str(client.get_cookie("session").value)


def test_a_right_password_is_a_user(identity: WebserverIdentity, in_request: None) -> None:
    login(identity, "op")


@pytest.mark.parametrize(("name", "password"), [("op", "wrong"), ("nobody", "op"), ("op", ""), ("", "")])
def test_a_wrong_password_is_nobody(
    identity: WebserverIdentity, in_request: None, name: str, password: str
) -> None:
    assert identity.authenticate(BasicCredentials(name, password)) is None


def test_the_uis_session_is_a_user(app: Any, identity: WebserverIdentity) -> None:
    cookie = session_cookie(app, "viewer")
    with app.test_request_context("/"):
        user = identity.authenticate(SessionCredentials(cookie))
    assert user is not None
    assert user.name == "viewer"


def test_an_invented_session_is_nobody(identity: WebserverIdentity, in_request: None) -> None:
    assert identity.authenticate(SessionCredentials("invented")) is None


def test_a_wrong_password_is_nobody_even_beside_a_valid_session(
    app: Any, identity: WebserverIdentity
) -> None:
    cookie = session_cookie(app, "admin")
    with app.test_request_context("/", headers={"Cookie": f"session={cookie}"}):
        assert identity.authenticate(BasicCredentials("op", "wrong")) is None


def test_bearer_tokens_are_for_the_backends_that_know_them(
    identity: WebserverIdentity, in_request: None
) -> None:
    user = identity.authenticate(BearerCredentials("badge-of-op"))
    assert user is not None
    assert user.name == "op"
    assert identity.authenticate(BearerCredentials("nonsense")) is None


def test_schemes_that_the_contract_does_not_name_are_for_the_backends_too(app: Any) -> None:
    client = app.test_client()
    path = "/api/v1/xtended/version"
    assert client.get(path, headers={"Authorization": "Badge badge-of-op"}).status_code == 200
    for header in ("Badge nonsense", "Badge", "Basic nonsense"):
        refused = client.get(path, headers={"Authorization": header})
        assert refused.status_code == 401
        assert sorted(refused.headers["WWW-Authenticate"].split(", ")) == ["Badge", "Basic"]


def test_authenticating_logs_nobody_in_to_the_ui(app: Any, identity: WebserverIdentity) -> None:
    from flask import g, session
    from flask_login import current_user

    with app.test_request_context("/"):
        before = dict(session)
        login(identity, "op")
        assert dict(session) == before
        assert "_login_user" not in g
        assert current_user.is_anonymous


def test_a_public_role_is_no_proof_of_identity(
    app: Any, identity: WebserverIdentity, in_request: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "AUTH_ROLE_PUBLIC", "Admin")
    assert identity.authenticate(SessionCredentials("invented")) is None
    assert identity.authenticate(BasicCredentials("op", "wrong")) is None


def test_a_remembered_login_ends_with_the_account(app: Any, identity: WebserverIdentity) -> None:
    name = person(app, ("can_edit", "DAGs"))
    with app.test_request_context("/"):
        user = login(identity, name)
        assert identity.may(user, "PUT", None, None)
    manager = app.appbuilder.sm
    account = manager.find_user(name)
    account.active = False
    manager.update_user(account)
    with app.test_request_context("/"):
        assert not identity.may(user, "PUT", None, None)
        assert identity.authenticate(BasicCredentials(name, name)) is None


def test_a_right_that_is_taken_away_counts_at_once(app: Any, identity: WebserverIdentity) -> None:
    name = person(app, ("can_edit", "DAGs"))
    with app.test_request_context("/"):
        assert identity.may(login(identity, name), "PUT", None, None)
    manager = app.appbuilder.sm
    role = manager.find_role(f"role of {name}")
    manager.remove_permission_from_role(role, manager.get_permission("can_edit", "DAGs"))
    with app.test_request_context("/"):
        assert not identity.may(login(identity, name), "PUT", None, None)


def test_the_roles_of_airflow_decide(identity: WebserverIdentity, in_request: None) -> None:
    may_edit = {name: identity.may(login(identity, name), "PUT", None, None) for name in ("op", "viewer")}
    assert may_edit == {"op": True, "viewer": False}
    assert identity.may(login(identity, "viewer"), "GET", "CODE", None)


def test_rights_on_one_dag_are_for_that_dag(app: Any, identity: WebserverIdentity) -> None:
    name = person(app, ("can_edit", "DAG:mine"), ("can_edit", "Task Instances"), ("can_edit", "DAG Runs"))
    with app.test_request_context("/"):
        user = login(identity, name)
        assert identity.may(user, "PUT", None, "mine")
        assert not identity.may(user, "PUT", None, "theirs")
        assert not identity.may(user, "PUT", None, None)
        assert not identity.may(user, "DELETE", None, "mine")
        assert identity.may(user, "PUT", "TASK_INSTANCE", "mine")
        assert not identity.may(user, "PUT", "TASK_INSTANCE", "theirs")


def test_a_right_on_a_dag_that_is_not_there_yet_is_a_right_on_some(
    app: Any, identity: WebserverIdentity
) -> None:
    some, none = (
        person(app, ("can_edit", "DAG:not_there_yet")),
        person(app, ("can_read", "DAG:not_there_yet")),
    )
    with app.test_request_context("/"):
        assert identity.may_some(login(identity, some), "PUT", None)
        assert not identity.may_some(login(identity, some), "DELETE", None)
        assert not identity.may_some(login(identity, none), "PUT", None)
