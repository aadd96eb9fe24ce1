"""Rights on single DAGs, which Airflow's FAB auth manager knows: each touched DAG is asked for, and no more.

One user may edit and delete one DAG, another may read it, a third may do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, success
from contract.server import Server

OWNER_PASSWORD = "öwner: ✓"
MINE, THEIRS = "mine", "theirs"


def deploy_both(server: Server) -> None:
    for dag_id in (MINE, THEIRS):
        sent = {"dag_file": (f"{dag_id}.py", dag_files.dag(dag_id))}
        success(server.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y", "force": "y"}))


@pytest.fixture(scope="module")
def peopled(fab: Server) -> Server:
    """The server with two DAGs, and three users beside those of Airflow's own roles."""
    deploy_both(fab)
    rights = [("can_read", f"DAG:{MINE}"), ("can_edit", f"DAG:{MINE}"), ("can_delete", f"DAG:{MINE}")]
    fab.add_user("owner", OWNER_PASSWORD, rights)
    fab.add_user("reader", "reader", [("can_read", f"DAG:{MINE}"), ("can_read", f"DAG:{THEIRS}")])
    fab.add_user("nobody", "nobody", [])
    return fab


@pytest.fixture
def owner(peopled: Server) -> httpx.Client:
    return peopled.client("owner")


@pytest.fixture
def both(peopled: Server) -> Iterator[Server]:
    """The server, with its two DAGs as they were."""
    yield peopled
    deploy_both(peopled)


def send(client: httpx.Client, filename: str, content: bytes, **fields: str) -> httpx.Response:
    return client.post("/deploy_dag", files={"dag_file": (filename, content)}, data=fields)


def forbidden(answer: httpx.Response, right: str, *dag_ids: str) -> None:
    """A 403 that names the DAGs and the right that is missing."""
    body = problem(answer, 403, "forbidden")
    assert body["missing_right"] == right
    assert body["dag_ids"] == list(dag_ids)
    for dag_id in dag_ids:
        assert repr(dag_id) in body["detail"]


def test_the_right_on_a_dag_is_enough_to_deploy_it(both: Server, owner: httpx.Client) -> None:
    body = success(send(owner, "mine.py", dag_files.dag(MINE, "new"), force="y", otf_sync="y"))
    assert body["dag_ids"] == [MINE]
    assert both.airflow.tasks(MINE) == {"new"}


def test_a_file_that_defines_another_dag_is_forbidden(both: Server, owner: httpx.Client) -> None:
    before = both.files()
    forbidden(send(owner, "new.py", dag_files.dag(THEIRS), force="y"), "PUT", THEIRS)
    forbidden(send(owner, "mine.py", dag_files.many(MINE, THEIRS), force="y"), "PUT", THEIRS)
    forbidden(send(owner, "new.py", dag_files.dag("brand_new")), "PUT", "brand_new")
    assert both.files() == before


def test_a_file_that_defined_another_dag_is_not_replaced(both: Server, owner: httpx.Client) -> None:
    before = both.files()
    forbidden(send(owner, "theirs.py", dag_files.dag(MINE), force="y"), "PUT", THEIRS)
    assert both.files() == before
    assert both.airflow.tasks(THEIRS) == {"hello"}


def test_a_stale_dag_is_still_someones(both: Server, owner: httpx.Client) -> None:
    success(send(both.admin, "theirs.py", dag_files.many(THEIRS, "theirs_too"), force="y", otf_sync="y"))
    success(send(both.admin, "theirs.py", dag_files.dag(THEIRS), force="y", otf_sync="y"))
    before = both.files()
    forbidden(send(owner, "mine.py", dag_files.many(MINE, "theirs_too"), force="y"), "PUT", "theirs_too")
    assert both.files() == before
    success(both.admin.delete("/delete_dag", params={"dag_id": "theirs_too"}))


def test_the_same_rule_holds_for_code_urls_and_validation(both: Server, owner: httpx.Client) -> None:
    code = {"filename": (None, "new.py"), "dag_code": (None, dag_files.dag(THEIRS))}
    forbidden(owner.post("/create_dag", files=code), "PUT", THEIRS)
    forbidden(owner.post("/validate_dag", files=code), "PUT", THEIRS)
    code = {"filename": (None, "mine.py"), "dag_code": (None, dag_files.dag(MINE))}
    assert success(owner.post("/validate_dag", files=code))["valid"] is True
    success(owner.post("/create_dag", files={**code, "force": (None, "y")}))


def test_a_dry_run_asks_for_the_same_rights(both: Server, owner: httpx.Client) -> None:
    forbidden(send(owner, "new.py", dag_files.dag(THEIRS), dry_run="y"), "PUT", THEIRS)


def test_a_helper_may_be_used_by_any_dag_so_it_takes_the_right_on_all(
    both: Server, owner: httpx.Client
) -> None:
    before = both.files()
    for filename, content in {"helper.py": b"# airflow dag\nX = 1\n", "notes.txt": b"x"}.items():
        answer = owner.post("/upload_file", files={"file": (filename, content)})
        assert problem(answer, 403, "forbidden")["missing_right"] == "PUT"
    shared = str(both.home / "shared")
    answer = owner.post("/upload_file", files={"file": ("notes.txt", b"x")}, data={"path": shared})
    problem(answer, 403, "forbidden")
    assert both.files() == before
    assert not list((both.home / "shared").iterdir())


def test_a_dag_file_may_be_uploaded_with_the_right_on_its_dags(both: Server, owner: httpx.Client) -> None:
    sent = {"file": ("mine.py", dag_files.dag(MINE, "b"))}
    success(owner.post("/upload_file", files=sent, data={"force": "y"}))


def test_a_dag_file_is_not_replaced_by_one_that_defines_none(both: Server, owner: httpx.Client) -> None:
    sent = {"file": ("theirs.py", b"# airflow dag\nX = 1\n")}
    forbidden(owner.post("/upload_file", files=sent, data={"force": "y"}), "PUT", THEIRS)


def test_whole_folder_operations_take_the_right_on_all(both: Server, owner: httpx.Client) -> None:
    before = both.files()
    for method, path in [
        ("POST", "/purge_dags"),
        ("GET", "/purge_dags"),
        ("POST", "/scan_dags"),
        ("GET", "/scan_dags"),
        ("POST", "/refresh_all_dags"),
        ("GET", "/refresh_all_dags"),
    ]:
        problem(owner.request(method, path), 403, "forbidden")
    assert both.files() == before


def test_deleting_takes_the_right_to_delete_each_dag_of_the_file(both: Server, owner: httpx.Client) -> None:
    before = both.files()
    forbidden(owner.delete("/delete_dag", params={"dag_id": THEIRS}), "DELETE", THEIRS)
    forbidden(owner.delete("/delete_dag", params={"filename": "theirs.py"}), "DELETE", THEIRS)
    assert both.files() == before
    success(send(both.admin, "mine.py", dag_files.many(MINE, "other"), force="y", otf_sync="y"))
    forbidden(owner.delete("/delete_dag", params={"dag_id": MINE, "force": "y"}), "DELETE", "other")
    success(send(both.admin, "mine.py", dag_files.dag(MINE), force="y", otf_sync="y"))
    success(both.admin.delete("/delete_dag", params={"dag_id": "other"}))
    success(owner.delete("/delete_dag", params={"dag_id": MINE}))
    assert not (both.dags / "mine.py").exists()


def test_refreshing_takes_the_right_to_edit_each_dag_of_the_file(both: Server, owner: httpx.Client) -> None:
    success(owner.post("/refresh_dag", params={"dag_id": MINE}))
    forbidden(owner.post("/refresh_dag", params={"dag_id": THEIRS}), "PUT", THEIRS)
    (both.dags / "mine.py").write_bytes(dag_files.many(MINE, THEIRS))
    forbidden(owner.post("/refresh_dag", params={"dag_id": MINE}), "PUT", THEIRS)


def test_reading_a_dag_is_no_right_to_change_it(both: Server) -> None:
    reader = both.client("reader")
    success(reader.get("/version"))
    before = both.files()
    problem(send(reader, "mine.py", dag_files.dag(MINE, "b"), force="y"), 403, "forbidden")
    problem(reader.delete("/delete_dag", params={"dag_id": MINE}), 403, "forbidden")
    problem(reader.post("/refresh_dag", params={"dag_id": MINE}), 403, "forbidden")
    assert both.files() == before


def test_dags_are_listed_to_those_who_may_read_them(both: Server, owner: httpx.Client) -> None:
    (both.dags / "broken_owned.py").write_text("# airflow dag\nraise ValueError\n")
    success(both.admin.post("/scan_dags", params={"otf_sync": "y"}))
    for client, dag_ids, files in (
        (owner, [MINE], {"mine.py"}),
        (both.client("reader"), [MINE, THEIRS], {"mine.py", "theirs.py"}),
    ):
        body = success(client.get("/list_dags", params={"report": "y"}))
        assert [dag["dag_id"] for dag in body["dags"]] == dag_ids
        assert {file["file"] for file in body["report"]} == files
    body = success(both.admin.get("/list_dags", params={"report": "y"}))
    assert "broken_owned.py" in {file["file"] for file in body["report"]}
    (both.dags / "broken_owned.py").unlink()
    problem(both.client("nobody").get("/list_dags"), 403, "forbidden")


def test_a_login_without_rights_may_ask_for_the_version_alone(both: Server) -> None:
    nobody = both.client("nobody")
    success(nobody.get("/version"))
    problem(send(nobody, "mine.py", dag_files.dag(MINE), force="y"), 403, "forbidden")


def test_a_password_a_token_and_a_session_are_the_same_user(both: Server) -> None:
    cookie = both.airflow.session("owner", OWNER_PASSWORD)
    proofs = [{"Cookie": f"{both.airflow.session_cookie}={cookie}", "Sec-Fetch-Site": "same-origin"}]
    if both.airflow.has_bearer:
        proofs.append({"Authorization": f"Bearer {both.airflow.token('owner', OWNER_PASSWORD)}"})
    for headers in proofs:
        sent = {"dag_file": ("mine.py", dag_files.dag(MINE))}
        answer = httpx.post(f"{both.api}/deploy_dag", files=sent, data={"force": "y"}, headers=headers)
        success(answer)
        sent = {"dag_file": ("theirs.py", dag_files.dag(THEIRS))}
        answer = httpx.post(f"{both.api}/deploy_dag", files=sent, data={"force": "y"}, headers=headers)
        forbidden(answer, "PUT", THEIRS)


def test_a_wrong_password_is_refused(both: Server) -> None:
    success(both.client("owner").get("/version"))
    for credentials in (("owner", "wrong"), ("owner", ""), ("nobody at all", "x")):
        problem(httpx.get(f"{both.api}/version", auth=credentials), 401, "unauthenticated")
