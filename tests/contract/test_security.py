"""Logging in by password for tokens: what they are good for, how long, and how they end."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.server import PREFIX, Server

Send = Callable[..., httpx.Response]


@pytest.fixture
def log_in(server: Server) -> Send:
    def send(username: str = "user", password: str | None = None, **more: object) -> httpx.Response:
        body = {"username": username, "password": password or server.passwords[username], **more}
        return server.client(None).post("/security/login", json=body)

    return send


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_an_access_token_acts_as_its_user(server: Server, log_in: Send, name: str) -> None:
    headers = bearer(success(log_in("user"))["access_token"])
    sent = {"dag_file": (f"{name}.py", dag_files.dag(name))}
    revision = success(server.client(None).post("/deploy_dag", files=sent, headers=headers))["revision"]
    (shown,) = success(server.admin.get("/revisions", params={"path": f"{name}.py"}))["revisions"]
    assert (shown["id"], shown["user"]) == (revision, "user")
    viewer = bearer(success(log_in("viewer"))["access_token"])
    problem(
        server.client(None).delete("/delete_dag", params={"dag_id": name}, headers=viewer), 403, "forbidden"
    )


def test_a_refresh_token_brings_access_tokens_and_nothing_else(server: Server, log_in: Send) -> None:
    assert "refresh_token" not in success(log_in("user"))
    tokens = success(log_in("user", refresh=True, provider="db"))
    anyone = server.client(None)
    renewed = success(anyone.post("/security/refresh", headers=bearer(tokens["refresh_token"])))
    assert "refresh_token" not in renewed
    success(anyone.get("/version", headers=bearer(renewed["access_token"])))
    problem(anyone.get("/version", headers=bearer(tokens["refresh_token"])), 401, "unauthenticated")
    for token in (tokens["access_token"], tokens["refresh_token"] + "x", "nonsense"):
        problem(anyone.post("/security/refresh", headers=bearer(token)), 401, "unauthenticated")
    problem(anyone.post("/security/refresh"), 401, "unauthenticated")
    problem(server.admin.post("/security/refresh"), 401, "unauthenticated")


def test_a_refresh_token_that_was_taken_back_is_worthless(server: Server, log_in: Send) -> None:
    kept, lost = (success(log_in("op", refresh=True))["refresh_token"] for _ in range(2))
    anyone = server.client(None)
    for _ in range(2):
        success(anyone.post("/security/revoke", json={"refresh_token": lost}))
    problem(anyone.post("/security/refresh", headers=bearer(lost)), 401, "unauthenticated")
    success(anyone.post("/security/refresh", headers=bearer(kept)))


def test_no_token_and_no_password_is_on_the_disk(server: Server, log_in: Send) -> None:
    tokens = success(log_in("op", refresh=True))
    folder = server.home / "xtended" / "refresh-tokens"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    written = "".join(path.name + path.read_text() for path in files) + server.log()
    for secret in (tokens["access_token"], tokens["refresh_token"], server.passwords["op"]):
        assert secret not in written


def test_an_access_token_ends_after_a_quarter_of_an_hour(log_in: Send) -> None:
    payload = success(log_in("user"))["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["exp"] - claims["iat"] == 15 * 60


def test_wrong_passwords_make_their_user_wait(server: Server, log_in: Send, name: str) -> None:
    """Not those who come from the same address; many at once are as many as they are."""
    for _ in range(5):
        answer = log_in(name, "wrong-password")
        problem(answer, 401, "unauthenticated")
        silent_about(answer, "wrong-password")
    answer = log_in(name, "wrong-password")
    problem(answer, 429, "too-many-attempts")
    assert int(answer.headers["retry-after"]) >= 1
    success(log_in("user"))


def test_wrong_passwords_make_their_address_wait(server: Server, name: str) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=server.api, transport=transport, timeout=60) as elsewhere:
        for number in range(20):
            body = {"username": f"{name}{number}", "password": "wrong"}
            problem(elsewhere.post("/security/login", json=body), 401, "unauthenticated")
        right = {"username": "user", "password": server.passwords["user"]}
        problem(elsewhere.post("/security/login", json=right), 429, "too-many-attempts")
    success(server.client(None).post("/security/login", json=right))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "user"},
        {"username": "user", "password": 1},
        {"username": "u", "password": "p", "x": 1},
    ],
)
def test_a_login_of_another_form_is_refused(server: Server, body: dict[str, object]) -> None:
    problem(server.client(None).post("/security/login", json=body), 400, "bad-request")


def test_the_documented_addresses_are_served(server: Server) -> None:
    """`/api/v1/security/login` and `refresh`, as the managed DAGs API has them, word for word."""
    root = server.url + PREFIX.removesuffix("/xtended")
    body = {"username": "admin", "password": server.passwords["admin"], "refresh": True, "provider": "db"}
    tokens = success(httpx.post(f"{root}/security/login", json=body))
    renewed = success(httpx.post(f"{root}/security/refresh", headers=bearer(tokens["refresh_token"])))

    def ask(token: str) -> httpx.Response:
        version = {"api": "rest_api_plugin_version"}
        return httpx.get(f"{server.url}/rest_api/api", params=version, headers=bearer(token))

    for token in (tokens["access_token"], renewed["access_token"]):
        assert ask(token).status_code == 200
    assert ask(tokens["refresh_token"]).status_code in (401, 403)
