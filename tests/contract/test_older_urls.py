"""The older plugins' URLs: their examples as printed, who is let in, and what a refusal looks like.

The examples differ from the documents in host and credentials, and in the quotes that some of them lack.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract import dag_files
from contract.conftest import TOKEN
from contract.server import CHECKOUT, PREFIX, Server
from xtended.legacy.functions import FUNCTIONS

PATHS = ("/rest_api/api", "/admin/rest_api/api")
HEADER = "rest_api_plugin_http_token"
Curl = Callable[[str], Any]


@pytest.fixture
def curl(server: Server, tmp_path: Path) -> Curl:
    """Runs an example with the token of the older plugin; answers the JSON that came back."""

    def run(example: str) -> Any:
        place = server.url.removeprefix("http://")
        filled = example.replace("localhost:8080", place).replace("{HOST}:{PORT}", place)
        filled = filled.replace("curl ", f"curl --header '{HEADER}: {TOKEN}' ", 1)
        done = subprocess.run(
            ["bash", "-c", filled], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def root(server: Server) -> httpx.Client:
    """Someone at Airflow's root who brings no credentials."""
    return httpx.Client(base_url=server.url, timeout=60)


@pytest.fixture
def holder(server: Server) -> httpx.Client:
    """Someone at Airflow's root who has the token."""
    return httpx.Client(base_url=server.url, timeout=60, headers={HEADER: TOKEN})


@pytest.fixture
def sent_dag(deploy: Callable[..., httpx.Response], name: str) -> str:
    assert deploy(f"{name}.py", dag_files.dag(name), otf_sync="y").status_code == 200
    return name


def printed(answer: Any, status: int = 200) -> Any:
    """An answer in the form of the plugin for the command line."""
    assert answer["http_response_code"] == status
    assert answer["status"] == ("OK" if status == 200 else "ERROR")
    assert isinstance(answer["output"], str)
    for name in ("call_time", "response_time"):
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer[name])
        parsedate_to_datetime(answer[name])
    return answer


def test_version(curl: Curl, server: Server) -> None:
    answer = printed(curl("curl http://{HOST}:{PORT}/admin/rest_api/api?api=version"))
    assert (answer["airflow_cmd"], answer["arguments"]) == ("airflow version", {})
    assert answer["output"] == server.admin.get("/version").json()["airflow"]


def test_rest_api_plugin_version(curl: Curl, server: Server) -> None:
    answer = printed(curl("curl http://{HOST}:{PORT}/admin/rest_api/api?api=rest_api_plugin_version"))
    assert answer["output"] == server.admin.get("/version").json()["version"]


def test_deploy_dag(curl: Curl, server: Server, tmp_path: Path, name: str) -> None:
    (tmp_path / "dag.py").write_bytes(dag_files.dag(name))
    example = (
        "curl -X POST -H 'Content-Type: multipart/form-data' -F 'dag_file=@dag.py' -F 'force=on' "
        "http://{HOST}:{PORT}/admin/rest_api/api?api=deploy_dag"
    )
    answer = printed(curl(example))
    assert answer["post_arguments"] == {"dag_file": "dag.py", "force": "on"}
    assert (server.dags / "dag.py").read_bytes() == dag_files.dag(name)
    assert server.airflow.dag(name) is not None
    (server.dags / "dag.py").unlink()


def test_deploy_dag_without_force_keeps_what_is_there(curl: Curl, server: Server, tmp_path: Path) -> None:
    (tmp_path / "dag.py").write_bytes(dag_files.dag("replaced"))
    (server.dags / "dag.py").write_text("kept = True\n")
    example = (
        "curl -X POST -H 'Content-Type: multipart/form-data' -F 'dag_file=@dag.py' "
        "http://{HOST}:{PORT}/admin/rest_api/api?api=deploy_dag"
    )
    printed(curl(example), 409)
    assert (server.dags / "dag.py").read_text() == "kept = True\n"
    (server.dags / "dag.py").unlink()


def test_refresh_dag(curl: Curl, sent_dag: str) -> None:
    printed(curl(f"curl 'http://{{HOST}}:{{PORT}}/admin/rest_api/api?api=refresh_dag&dag_id={sent_dag}'"))


def test_list_dags(curl: Curl, sent_dag: str) -> None:
    answer = printed(curl("curl http://{HOST}:{PORT}/admin/rest_api/api?api=list_dags"))
    assert sent_dag in answer["output"].splitlines()
    answer = printed(curl("curl 'http://{HOST}:{PORT}/admin/rest_api/api?api=list_dags&report'"))
    assert f"['{sent_dag}']" in answer["output"]
    assert answer["arguments"] == {"report": ""}


def test_refresh_all_dags(curl: Curl) -> None:
    answer = curl("curl -X GET http://localhost:8080/admin/rest_api/api?api=refresh_all_dags")
    assert answer == {"message": "All DAGs are now up to date", "status": "success"}


def test_delete_dag(curl: Curl, server: Server, sent_dag: str) -> None:
    answer = curl(f"curl -X GET 'http://localhost:8080/admin/rest_api/api?api=delete_dag&dag_id={sent_dag}'")
    assert answer == {"message": f"DAG [{sent_dag}] deleted", "status": "success"}
    assert not (server.dags / f"{sent_dag}.py").exists()


@pytest.mark.parametrize("path", [*PATHS, f"{PREFIX}/rest_api/api", f"{PREFIX}/admin/rest_api/api"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_address_and_method_answers_alike(holder: httpx.Client, path: str, method: str) -> None:
    answer = holder.request(method, path, params={"api": "version"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["deprecation"].startswith("@")
    printed(answer.json())


@pytest.mark.parametrize("kind", ["form", "json", "urlencoded"])
def test_arguments_are_taken_from_any_kind_of_body(holder: httpx.Client, sent_dag: str, kind: str) -> None:
    body: dict[str, Any] = {
        "form": {"files": {"dag_id": (None, sent_dag)}},
        "json": {"json": {"dag_id": sent_dag}},
        "urlencoded": {"data": {"dag_id": sent_dag}},
    }[kind]
    answer = holder.post("/rest_api/api", params={"api": "refresh_dag"}, **body)
    assert printed(answer.json())["post_arguments"] == {"dag_id": sent_dag}


def test_the_token_passes_with_dashes_too(root: httpx.Client) -> None:
    answer = root.get("/rest_api/api?api=version", headers={HEADER.replace("_", "-"): TOKEN})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("token", [None, "", "changeme", TOKEN[:-1], TOKEN + "x", TOKEN.upper()])
@pytest.mark.parametrize("path", PATHS)
def test_a_failed_token_is_the_documented_403(root: httpx.Client, path: str, token: str | None) -> None:
    headers = {} if token is None else {HEADER: token}
    answer = root.get(path, params={"api": "version"}, headers=headers)
    assert answer.status_code == 403, answer.text
    assert printed(answer.json(), 403)["output"] == "Token Authentication Failed"


def test_the_token_has_the_rights_of_its_user_and_no_other(holder: httpx.Client, server: Server) -> None:
    # It acts as `user`, who may not read what only an administrator may.
    answer = holder.get("/rest_api/api?api=delete_dag&dag_id=no_such_dag")
    assert answer.status_code == 404, answer.text
    assert holder.get(f"{PREFIX}/version").status_code == 401


def test_airflows_own_login_counts_beside_a_token(server: Server) -> None:
    answer = server.client("viewer").get("/rest_api/api?api=version")
    assert answer.status_code == 200, answer.text
    answer = httpx.get(f"{server.url}/rest_api/api?api=version", auth=("viewer", "wrong"))
    assert answer.status_code in (401, 403)


def test_without_a_token_airflows_own_login_applies_alone(fab: Server) -> None:
    nobody = httpx.Client(base_url=fab.url, timeout=60)
    for headers in ({}, {HEADER: "anything"}):
        answer = nobody.get("/rest_api/api?api=version", headers=headers)
        assert answer.status_code == 401, answer.text
        assert "Basic" in answer.headers["www-authenticate"]
        printed(answer.json(), 401)
    answer = nobody.get("/rest_api/api?api=refresh_all_dags")
    assert answer.json()["msg"] == "Missing Authorization Header"
    assert fab.client("viewer").get("/rest_api/api?api=version").status_code == 200


def test_a_function_needs_the_right_of_its_operation(server: Server, sent_dag: str) -> None:
    viewer = server.client("viewer")
    for function in ("pause", "delete_dag", "refresh_dag"):
        answer = viewer.get("/rest_api/api", params={"api": function, "dag_id": sent_dag})
        assert answer.status_code == 403, f"{function}: {answer.text}"
    answer = viewer.get("/rest_api/api?api=refresh_all_dags")
    assert (answer.status_code, answer.json()["status"]) == (403, "error")
    assert (server.dags / f"{sent_dag}.py").exists()


def test_the_session_counts_for_posts_from_airflows_own_pages_alone(server: Server) -> None:
    cookie = server.airflow.session("admin", server.passwords["admin"])
    session = {"Cookie": f"{server.airflow.session_cookie}={cookie}"}
    own = {**session, "Sec-Fetch-Site": "same-origin"}
    (server.dags / "kept.txt").write_text("precious\n")
    for path in PATHS:
        address = f"{server.url}{path}"
        get = httpx.get(address, params={"api": "refresh_all_dags"}, headers=own)
        assert get.status_code == 403, get.text
        elsewhere = {**session, "Sec-Fetch-Site": "cross-site"}
        posted = httpx.post(address, params={"api": "refresh_all_dags"}, headers=elsewhere)
        assert posted.status_code == 403, posted.text
        posted = httpx.post(address, params={"api": "refresh_all_dags"}, headers=own, timeout=60)
        assert posted.status_code == 200, posted.text


def test_a_head_request_calls_no_function(server: Server, holder: httpx.Client, sent_dag: str) -> None:
    answer = holder.head("/rest_api/api", params={"api": "delete_dag", "dag_id": sent_dag})
    assert answer.status_code == 405
    assert (server.dags / f"{sent_dag}.py").exists()


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"api": "no_such_function"},
        {"api": "pause"},
        {"api": "clear", "only_faild": "true"},
        {"api": "list_tasks", "dag_id": "x", "task_id": "y"},
        {"api": "list_tasks", "dag_id": "x", "tree": "perhaps"},
    ],
)
def test_a_request_that_is_not_understood_is_an_error_in_the_older_form(
    holder: httpx.Client, query: dict[str, str]
) -> None:
    answer = holder.get("/admin/rest_api/api", params=query)
    assert answer.status_code == 400, answer.text
    printed(answer.json(), 400)


def test_shell_metacharacters_are_no_more_than_text(holder: httpx.Client) -> None:
    for text in ("$(touch pwned)", "`id`", "a;id", "a|id", "a&&id", "../../etc/passwd", "{{ 7919*7907 }}"):
        answer = holder.get("/rest_api/api", params={"api": "refresh_dag", "dag_id": text})
        assert answer.status_code == 404, answer.text
        assert answer.json()["arguments"] == {"dag_id": text}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_no_argument_of_any_function_reaches_a_shell(server: Server, function: str) -> None:
    text = "x; touch pwned; $(touch pwned) `touch pwned` | touch pwned & ' \" {{ 7919*7907 }}"
    login = ("admin", server.passwords["admin"])
    with httpx.Client(base_url=server.url, auth=login, timeout=60) as http:
        for argument in FUNCTIONS[function].arguments().keys() - {"dag_file"}:
            for answer in (
                http.get("/rest_api/api", params={"api": function, argument: text}),
                http.post("/admin/rest_api/api", params={"api": function}, data={argument: text}),
            ):
                assert answer.status_code < 500, answer.text
                assert answer.json()["status"] in ("OK", "ERROR", "success", "error")
                assert "62615533" not in answer.json().get("output", "")
    assert not list(server.home.rglob("pwned*"))
    assert not list(CHECKOUT.glob("pwned*"))
