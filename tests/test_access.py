"""Who may call: the rule of each operation, on an auth manager that knows three users."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from xtended.access import Rule, RuleError, admit, require_dags
from xtended.airflow_host.identity import (
    BasicCredentials,
    BearerCredentials,
    Credentials,
    Method,
    SessionCredentials,
    User,
)
from xtended.problems import Forbidden, MethodNotAllowed, Unauthenticated

SESSION = SessionCredentials("boss")
EDIT_EACH = Rule("each", "PUT")
EDIT_ALL = Rule("all", "PUT")


@dataclass
class Rights:
    """An auth manager: rights by user, of a method on a DAG id or on `*`, all of them."""

    session_cookie: str = "session"
    rights: dict[str, set[tuple[str, str]]] = field(
        default_factory=lambda: {
            "boss": {("PUT", "*"), ("GET", "*")},
            "owner": {("PUT", "mine")},
            "guest": set(),
        }
    )

    def authenticate(self, credentials: Credentials) -> User | None:
        match credentials:
            case (
                BasicCredentials(username=name)
                | BearerCredentials(token=name)
                | SessionCredentials(cookie=name)
            ):
                return User(name, None) if name in self.rights else None

    def may(self, user: User, method: Method, entity: str | None, dag_id: str | None) -> bool:
        return bool({(method, "*"), (method, dag_id or "*")} & self.rights[user.name])

    def may_some(self, user: User, method: Method, entity: str | None) -> bool:
        return any(right == method for right, _ in self.rights[user.name])


def enter(rule: Rule, who: Credentials, method: str = "POST", **headers: str) -> User:
    return admit(
        Rights(), rule, who, method, {key.replace("_", "-"): value for key, value in headers.items()}
    )


@pytest.mark.parametrize(
    "declared",
    [
        None,
        "each",
        {},
        {"scope": "some"},
        {"scope": "each"},
        {"scope": "all", "method": "PATCH"},
        {"scope": "all", "method": "put"},
        {"scope": "open", "because": "why not"},
    ],
)
def test_a_rule_that_can_not_be_enforced_is_refused(declared: object) -> None:
    with pytest.raises(RuleError):
        Rule.read(declared)


def test_a_rule_is_read_as_it_is_declared() -> None:
    assert Rule.read({"scope": "open"}) == Rule("open")
    assert Rule.read({"scope": "all", "method": "DELETE"}) == Rule("all", "DELETE")
    assert Rule.read({"scope": "each", "method": "POST", "entity": "RUN"}) == Rule("each", "POST", "RUN")


def test_wrong_credentials_are_challenged() -> None:
    for credentials in (
        BasicCredentials("nobody", "x"),
        BearerCredentials("nobody"),
        SessionCredentials("nobody"),
    ):
        with pytest.raises(Unauthenticated) as refused:
            enter(Rule("authenticated"), credentials, "GET")
        assert "Basic" in refused.value.headers["WWW-Authenticate"]


def test_a_rule_for_all_takes_the_right_on_all() -> None:
    assert enter(EDIT_ALL, BasicCredentials("boss", "x")).name == "boss"
    for name in ("owner", "guest"):
        with pytest.raises(Forbidden) as refused:
            enter(EDIT_ALL, BasicCredentials(name, "x"))
        assert refused.value.extra["missing_right"] == "PUT"


def test_a_rule_for_each_takes_the_right_on_some_before_the_dags_are_known() -> None:
    assert enter(EDIT_EACH, BasicCredentials("owner", "x")).name == "owner"
    with pytest.raises(Forbidden):
        enter(EDIT_EACH, BasicCredentials("guest", "x"))


def test_any_login_is_enough_where_the_rule_says_so() -> None:
    assert enter(Rule("authenticated"), BearerCredentials("guest"), "GET").name == "guest"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-origin", "origin": "https://elsewhere.example", "host": "here.example"},
        {"origin": "https://here.example", "host": "here.example"},
        {"origin": "http://Here.Example:8080", "host": "here.example:8080"},
    ],
)
def test_a_session_may_change_things_from_airflows_own_pages(headers: dict[str, str]) -> None:
    assert enter(EDIT_ALL, SESSION, **headers).name == "boss"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "here.example"},
        {"sec_fetch_site": "cross-site", "origin": "https://here.example", "host": "here.example"},
        {"sec_fetch_site": "same-site", "origin": "https://here.example", "host": "here.example"},
        {"sec_fetch_site": "none", "origin": "https://here.example", "host": "here.example"},
        {"origin": "https://elsewhere.example", "host": "here.example"},
        {"origin": "https://here.example:444", "host": "here.example"},
        {"origin": "https://here.example.elsewhere.example", "host": "here.example"},
        {"origin": "null", "host": "here.example"},
        {"origin": "", "host": ""},
    ],
)
def test_a_session_may_not_change_things_from_elsewhere(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden, match="Airflow's own pages"):
        enter(EDIT_ALL, SESSION, **headers)


def test_a_session_reads_from_anywhere() -> None:
    assert enter(Rule("authenticated"), SESSION, "GET", sec_fetch_site="cross-site").name == "boss"


def test_an_explicit_login_changes_things_from_anywhere() -> None:
    for credentials in (BasicCredentials("boss", "x"), BearerCredentials("boss")):
        assert enter(EDIT_ALL, credentials, sec_fetch_site="cross-site").name == "boss"


def test_head_changes_nothing() -> None:
    with pytest.raises(MethodNotAllowed):
        enter(EDIT_ALL, BasicCredentials("boss", "x"), "HEAD")
    assert enter(Rule("authenticated"), BasicCredentials("boss", "x"), "HEAD").name == "boss"


def test_each_dag_is_asked_for_and_the_refused_ones_are_named() -> None:
    owner = User("owner", None)
    require_dags(Rights(), EDIT_EACH, owner, ["mine"])
    with pytest.raises(Forbidden) as refused:
        require_dags(Rights(), EDIT_EACH, owner, ["theirs", "mine", "another"])
    assert refused.value.extra == {"missing_right": "PUT", "dag_ids": ["another", "theirs"]}
    assert "'another'" in refused.value.detail
    assert "edit (PUT)" in refused.value.detail


def test_no_dag_means_all_of_them() -> None:
    require_dags(Rights(), EDIT_EACH, User("boss", None), ())
    with pytest.raises(Forbidden):
        require_dags(Rights(), EDIT_EACH, User("owner", None), ())
