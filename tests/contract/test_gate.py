"""Who gets in: basic, bearer and session, and when the session does not count."""

from __future__ import annotations

import httpx
import pytest

from contract import checks
from contract.server import Server


@pytest.fixture
def bearer(server: Server) -> dict[str, str]:
    token = server.airflow.token("admin", server.passwords["admin"])
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def session(server: Server) -> dict[str, str]:
    cookie = server.airflow.session("admin", server.passwords["admin"])
    return {"Cookie": f"{server.airflow.session_cookie}={cookie}"}


def refused(answer: httpx.Response) -> None:
    checks.problem(answer, 401, "unauthenticated")
    assert "Basic" in answer.headers["www-authenticate"]


def test_basic_login_with_a_unicode_password(server: Server) -> None:
    checks.success(server.client("user").get("/version"))


def test_a_bearer_token_is_accepted_where_airflow_has_them(server: Server, bearer: dict[str, str]) -> None:
    answer = server.client(None).get("/version", headers=bearer)
    if server.airflow.has_bearer:
        checks.success(answer)
    else:
        refused(answer)


def test_session_cookie_reads(server: Server, session: dict[str, str]) -> None:
    checks.success(server.client(None).get("/version", headers=session))


@pytest.mark.parametrize(
    "header",
    [
        "Basic YWRtaW46d3Jvbmc=",
        "Basic ???",
        "Basic",
        "Bearer nonsense",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJBRE1JTiJ9.",
        "Digest x",
    ],
)
def test_wrong_credentials_are_a_401_with_a_challenge(server: Server, header: str) -> None:
    refused(server.client(None).get("/version", headers={"Authorization": header}))


def test_no_credentials_are_a_401_with_a_challenge(server: Server) -> None:
    refused(server.client(None).get("/version"))


def test_a_wrong_password_is_refused_after_a_right_one_was_remembered(server: Server) -> None:
    checks.success(server.client("op").get("/version"))
    refused(httpx.get(f"{server.api}/version", auth=("op", "not the password")))
    checks.success(server.client("op").get("/version"))


def test_credentials_are_checked_before_the_body_is_read(server: Server) -> None:
    refused(
        server.client(None).post("/deploy_dag", content=b"not a form", headers={"Content-Type": "text/x"})
    )


def test_a_change_by_get_never_takes_the_session(server: Server, session: dict[str, str]) -> None:
    anonymous = server.client(None)
    before = server.files()
    for path in ("/purge_dags", "/refresh_all_dags", "/scan_dags", "/delete_dag?filename=x.py"):
        refused(anonymous.get(path, headers={**session, "Sec-Fetch-Site": "same-origin"}))
    assert server.files() == before


@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
    ],
)
def test_a_change_by_session_from_elsewhere_is_refused(
    server: Server, session: dict[str, str], origin: dict[str, str]
) -> None:
    answer = server.client(None).post("/scan_dags", headers={**session, **origin})
    checks.problem(answer, 403, "forbidden")


def test_a_change_by_session_from_airflow_s_own_pages_is_done(
    server: Server, session: dict[str, str]
) -> None:
    anonymous = server.client(None)
    checks.success(anonymous.post("/scan_dags", headers={**session, "Sec-Fetch-Site": "same-origin"}))
    checks.success(anonymous.post("/scan_dags", headers={**session, "Origin": server.url}))


def test_the_older_get_forms_say_that_they_are_deprecated(admin: httpx.Client) -> None:
    answer = admin.get("/scan_dags")
    checks.success(answer)
    assert answer.headers["deprecation"].startswith("@")
    assert answer.headers["link"] == '</api/v1/xtended/scan_dags>; rel="successor-version"'
    assert "deprecation" not in admin.post("/scan_dags").headers


def test_unknown_paths_and_methods_are_problems(admin: httpx.Client) -> None:
    checks.problem(admin.get("/nothing_here"), 404, "not-found")
    checks.problem(admin.put("/version"), 405, "method-not-allowed")
    checks.problem(admin.patch("/deploy_dag"), 405, "method-not-allowed")


def test_a_head_request_changes_nothing(server: Server, admin: httpx.Client) -> None:
    (server.dags / "kept_from_head.txt").write_text("precious\n")
    for path in ("/purge_dags", "/delete_dag?filename=kept_from_head.txt", "/refresh_all_dags"):
        assert admin.head(path).status_code == 405
    assert (server.dags / "kept_from_head.txt").read_text() == "precious\n"
    assert admin.head("/version").status_code == 200


def test_a_wrong_method_is_told_the_right_ones(admin: httpx.Client) -> None:
    for path, methods in {"/purge_dags": {"GET", "POST"}, "/delete_dag": {"GET", "DELETE"}}.items():
        answer = admin.patch(path)
        checks.problem(answer, 405, "method-not-allowed")
        assert set(answer.headers["allow"].replace(" ", "").split(",")) - {"HEAD", "OPTIONS"} == methods
