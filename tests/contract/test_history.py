"""What was changed in the DAG folder can be listed, compared, read, and taken back."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.server import CHECKOUT, Server, unchanged

Deploy = Callable[..., httpx.Response]
NO_REVISION = "0" * 40


def rollback(client: httpx.Client, revision: str, **query: str) -> httpx.Response:
    return client.post("/rollback", params={"revision": revision, **query})


def revisions(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    return list(success(client.get("/revisions", params=query))["revisions"])


@pytest.fixture
def fresh(empty_folder: Server) -> Server:
    """The server with an empty DAG folder, and a history that knows that it is empty."""
    success(empty_folder.admin.post("/purge_dags"))
    return empty_folder


def test_a_revision_says_who_did_what_to_which_files_and_dags(
    admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    answer = success(deploy(f"{name}.py", dag_files.dag(name), message="because\n\nof reasons"))
    newest = revisions(admin)[0]
    assert newest["id"] == answer["revision"]
    assert newest["user"] == "admin"
    assert newest["operation"] == "deploy_dag"
    assert newest["message"] == "because\n\nof reasons"
    assert newest["files"] == {"added": [f"{name}.py"], "changed": [], "deleted": []}
    assert newest["dag_ids"] == [name]
    assert success(admin.get(f"/revisions/{newest['id']}"))["revision"] == newest


def test_the_beginning_of_an_id_names_a_revision_everywhere(
    admin: httpx.Client, server: Server, deploy: Deploy, name: str
) -> None:
    first, second = (
        success(deploy(f"{name}.py", dag_files.dag(name, task), force="y"))["revision"]
        for task in ("one", "two")
    )
    assert success(admin.get(f"/revisions/{second[:7]}"))["revision"]["id"] == second
    diffs = [
        success(admin.get(f"/revisions/{new}/diff", params={"against": old}))["diff"]
        for new, old in ((second, first), (second[:12], first[:7]))
    ]
    assert diffs[0] == diffs[1] != ""
    success(rollback(admin, first[:7], path=f"{name}.py"))
    assert (server.dags / f"{name}.py").read_bytes() == dag_files.dag(name, "one")
    assert revisions(admin)[0]["message"] == f"to {first}"
    problem(admin.get("/revisions/0000000"), 404, "not-found")


def test_revisions_come_in_pages_newest_first_each_once(
    admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    made = [
        success(deploy(f"{name}.py", dag_files.dag(name, task), force="y"))["revision"]
        for task in ("one", "two", "three", "four", "five")
    ]
    found, cursor = list[str](), {}
    while True:
        page = success(admin.get("/revisions", params={"path": f"{name}.py", "limit": 2, **cursor}))
        assert len(page["revisions"]) <= 2
        found += [revision["id"] for revision in page["revisions"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == made[::-1]
    problem(admin.get("/revisions", params={"cursor": "nonsense"}), 400, "bad-request")


def test_revisions_of_a_file_a_folder_and_a_dag(admin: httpx.Client, deploy: Deploy, name: str) -> None:
    inside = success(deploy("inside.py", dag_files.dag(f"{name}_in"), path=name))["revision"]
    outside = success(deploy(f"{name}.py", dag_files.dag(name)))["revision"]
    assert [each["id"] for each in revisions(admin, path=name)] == [inside]
    assert [each["id"] for each in revisions(admin, path=f"{name}/inside.py")] == [inside]
    assert [each["id"] for each in revisions(admin, dag_id=name)] == [outside]
    assert revisions(admin, dag_id=f"{name}_no_such") == []


def test_a_diff_against_the_revision_before_another_and_the_folder(
    server: Server, admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    path = f"{name}.py"
    first, second, third = (
        success(deploy(path, dag_files.dag(name, task), force="y"))["revision"]
        for task in ("one", "two", "three")
    )

    def diff(revision: str, **query: str) -> str:
        return str(success(admin.get(f"/revisions/{revision}/diff", params={"path": path, **query}))["diff"])

    added = diff(first)
    assert "--- /dev/null" in added
    assert f"+++ b/{path}" in added
    assert "+    @task(task_id='one')\n" in added
    changed = diff(second)
    assert "-    @task(task_id='one')\n" in changed
    assert "+    @task(task_id='two')\n" in changed
    assert "-    @task(task_id='three')\n" in diff(first, against=third)
    assert diff(third, against="live") == ""
    (server.dags / path).write_bytes(dag_files.dag(name, "by_hand"))
    assert "-    @task(task_id='by_hand')\n" in diff(third, against="live")


def test_the_files_that_are_live_and_what_they_hold(
    server: Server, admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    code = dag_files.dag(name)
    revision = success(deploy("a.py", code, path=name))["revision"]
    packed = dag_files.archive({"in.py": dag_files.dag(f"{name}_zip")})
    success(deploy("b.zip", packed, path=name))
    (server.dags / name / "by_hand.txt").write_text("theirs")
    found = success(admin.get("/files", params={"folder": name}))["files"]
    assert [file["path"] for file in found] == [f"{name}/a.py", f"{name}/b.zip", f"{name}/by_hand.txt"]
    digest = hashlib.sha256(code).hexdigest()
    described = {"path": f"{name}/a.py", "size": len(code), "sha256": digest, "revision": revision}
    assert found[0] == described
    assert found[2]["revision"] is None
    read = success(admin.get(f"/files/{name}/a.py"))
    assert {key: read[key] for key in described} == described
    assert (read["encoding"], read["content"]) == ("utf-8", code.decode())
    read = success(admin.get(f"/files/{name}%2Fb.zip"))
    assert (read["encoding"], base64.b64decode(read["content"])) == ("base64", packed)


@pytest.mark.parametrize("path", ["no_such.py", "..%2Fairflow.cfg", "%2Fetc%2Fpasswd", ".airflowignore"])
def test_no_other_file_can_be_read(server: Server, admin: httpx.Client, path: str) -> None:
    answer = admin.get(f"/files/{path}")
    assert answer.status_code in (400, 404), answer.text
    silent_about(answer, str(server.home))


def test_a_link_out_of_the_folder_is_no_file(server: Server, admin: httpx.Client, name: str) -> None:
    (server.dags / f"{name}.py").symlink_to(server.home / "airflow.cfg")
    try:
        problem(admin.get(f"/files/{name}.py"), 404, "not-found")
    finally:
        (server.dags / f"{name}.py").unlink()


def test_what_is_not_in_the_history_is_not_found(server: Server, admin: httpx.Client, name: str) -> None:
    with unchanged(server):
        for answer in (
            admin.get(f"/revisions/{NO_REVISION}"),
            admin.get(f"/revisions/{NO_REVISION}/diff"),
            rollback(admin, NO_REVISION),
            rollback(admin, revisions(admin)[0]["id"], path=f"{name}.py"),
            rollback(admin, revisions(admin)[0]["id"], dag_id=name),
        ):
            problem(answer, 404, "not-found")
        both = rollback(admin, revisions(admin)[0]["id"], path="a.py", dag_id="a")
        problem(both, 400, "bad-request")


def test_a_purge_can_be_undone(fresh: Server, admin: httpx.Client, deploy: Deploy, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    success(
        deploy("b.zip", dag_files.archive({"in.py": dag_files.dag(f"{name}_b")}), path=name, otf_sync="y")
    )
    files = fresh.files()
    success(admin.post("/purge_dags"))
    before = revisions(admin)[0]["parent"]
    assert fresh.files() == {}
    with unchanged(fresh):
        planned = success(rollback(admin, before, dry_run="y"))
    body = success(rollback(admin, before, otf_sync="y"))
    assert fresh.files() == files
    assert body["files"] == planned["files"] == {"added": sorted(files), "changed": [], "deleted": []}
    assert body["dag_ids"] == planned["dag_ids"] == [name, f"{name}_b"]
    for dag_id in body["dag_ids"]:
        state = fresh.airflow.dag(dag_id)
        assert state is not None
        assert not state.stale
    newest = revisions(admin)[0]
    assert (newest["operation"], newest["message"]) == ("rollback", f"to {before}")


def test_a_rollback_takes_away_what_came_since_and_its_dags_at_once(
    fresh: Server, admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    first = success(deploy(f"{name}.py", dag_files.dag(name, "old"), otf_sync="y"))["revision"]
    success(deploy(f"{name}.py", dag_files.dag(name, "new"), force="y", otf_sync="y"))
    success(deploy(f"{name}_two.py", dag_files.dag(f"{name}_two"), otf_sync="y"))
    body = success(rollback(admin, first, otf_sync="y", force="y"))
    assert body["files"] == {"added": [], "changed": [f"{name}.py"], "deleted": [f"{name}_two.py"]}
    assert body["removed_dag_ids"] == [f"{name}_two"]
    assert fresh.airflow.tasks(name) == {"old"}
    gone = fresh.airflow.dag(f"{name}_two")
    assert gone is not None
    assert gone.stale


@pytest.mark.parametrize("by", ["path", "dag_id"])
def test_a_rollback_of_one_file_leaves_the_others(
    server: Server, admin: httpx.Client, deploy: Deploy, name: str, by: str
) -> None:
    first = success(deploy(f"{name}.py", dag_files.dag(name, "old")))["revision"]
    success(deploy(f"{name}_two.py", dag_files.dag(f"{name}_two")))
    success(deploy(f"{name}.py", dag_files.dag(name, "new"), force="y"))
    body = success(rollback(admin, first, **{by: name if by == "dag_id" else f"{name}.py"}))
    assert body["files"] == {"added": [], "changed": [f"{name}.py"], "deleted": []}
    assert (server.dags / f"{name}.py").read_bytes() == dag_files.dag(name, "old")
    assert (server.dags / f"{name}_two.py").exists()


def test_a_rollback_does_not_overwrite_what_other_hands_did_without_force(
    server: Server, admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    first = success(deploy(f"{name}.py", dag_files.dag(name, "old")))["revision"]
    by_hand = dag_files.dag(name, "by_hand")
    (server.dags / f"{name}.py").write_bytes(by_hand)
    with unchanged(server):
        answer = rollback(admin, first, path=f"{name}.py")
        assert problem(answer, 409, "changed-outside")["changed_files"] == [f"{name}.py"]
    success(rollback(admin, first, path=f"{name}.py", force="y"))
    theirs = revisions(admin, path=f"{name}.py")[1]
    assert (theirs["user"], theirs["operation"]) == ("outside of the API", "changed_outside")
    success(rollback(admin, theirs["id"], path=f"{name}.py"))
    assert (server.dags / f"{name}.py").read_bytes() == by_hand


def test_a_rollback_is_checked_like_a_deploy(
    server: Server, admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    helper = f"{name}_helper.py"
    success(admin.post("/upload_file", files={"file": (helper, b"x = 1\n")}))
    first = success(deploy(f"{name}.py", f"from {name}_helper import x\n".encode() + dag_files.dag(name)))[
        "revision"
    ]
    success(admin.delete("/delete_dag", params={"filename": f"{name}.py"}))
    success(admin.delete("/delete_dag", params={"filename": helper}))
    with unchanged(server):
        answer = rollback(admin, first, path=f"{name}.py")
        assert problem(answer, 422, "dag-invalid")["import_errors"][0]["file"] == f"{name}.py"
    success(rollback(admin, first, path=helper))
    success(rollback(admin, first, path=f"{name}.py"))


def test_a_rollback_is_conditional_and_done_once(
    server: Server, admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    first = success(deploy(f"{name}.py", dag_files.dag(name, "old")))["revision"]
    second = success(deploy(f"{name}.py", dag_files.dag(name, "new"), force="y"))["revision"]
    query = {"revision": first, "path": f"{name}.py"}
    with unchanged(server):
        stale = admin.post("/rollback", params=query, headers={"If-Match": f'"{first}"'})
        problem(stale, 412, "revision-moved")
    headers = {"If-Match": f'"{second}"', "Idempotency-Key": name}
    answers = [success(admin.post("/rollback", params=query, headers=headers)) for _ in range(2)]
    assert answers[0] == answers[1]
    assert [each["operation"] for each in revisions(admin, path=f"{name}.py")] == [
        "rollback",
        "deploy_dag",
        "deploy_dag",
    ]


def test_the_lines_of_the_readme_work_as_printed(fresh: Server, deploy: Deploy, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    files = fresh.files()
    found = re.search(r"```bash\n(REVISION=.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    assert found
    lines = found[1].replace("http://localhost:8080", fresh.url).replace(".airflow", str(fresh.home))
    environment = {**os.environ, "ADMIN_PASSWORD": fresh.passwords["admin"]}
    done = subprocess.run(
        ["bash", "-ec", lines], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"status": "success"') == 3, done.stdout
    assert "    Operation: rollback" in done.stdout
    assert fresh.files().items() >= files.items()
    live = fresh.airflow.dag(name)
    assert live is not None
    assert not live.stale


@pytest.fixture(scope="module")
def shared(fab: Server) -> dict[str, str]:
    """Two DAGs, and one user who may read and edit the first of them; answers the revision of each DAG."""
    rights = [("can_read", "DAG:ours"), ("can_edit", "DAG:ours"), ("can_read", "DAG Code")]
    made = {}
    for dag_id in ("ours", "secret"):
        sent = {"dag_file": (f"{dag_id}.py", dag_files.dag(dag_id))}
        answer = fab.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y", "force": "y"})
        made[dag_id] = success(answer)["revision"]
    success(fab.admin.post("/upload_file", files={"file": ("secret.txt", b"of no DAG")}))
    fab.add_user("teammate", "teammate", rights)
    fab.add_user("no_code", "no_code", [("can_read", "DAG:ours")])
    return made


def test_who_may_read_one_dag_sees_its_files_and_no_trace_of_others(
    fab: Server, shared: dict[str, str]
) -> None:
    client = fab.client("teammate")
    both = fab.admin.post("/rollback", params={"revision": shared["ours"], "force": "y"})
    taken_away = success(both)["revision"]
    success(fab.admin.post("/rollback", params={"revision": shared["secret"], "force": "y"}))
    answers = [
        client.get("/revisions"),
        client.get(f"/revisions/{shared['ours']}"),
        client.get(f"/revisions/{shared['ours']}/diff", params={"against": "live"}),
        client.get(f"/revisions/{taken_away}/diff"),
        client.get("/files"),
    ]
    for answer in answers:
        success(answer)
        silent_about(answer, "secret")
    assert shared["ours"] in [each["id"] for each in answers[0].json()["revisions"]]
    assert [file["path"] for file in answers[4].json()["files"]] == ["ours.py"]
    success(client.get("/files/ours.py"))
    problem(client.get(f"/revisions/{shared['secret']}"), 404, "not-found")
    for path in ("secret.py", "secret.txt", "no_such.txt"):
        problem(client.get(f"/files/{path}"), 403, "forbidden")


def test_without_the_right_to_read_code_none_is_shown(fab: Server, shared: dict[str, str]) -> None:
    client = fab.client("no_code")
    success(client.get("/revisions"))
    problem(client.get("/files/ours.py"), 403, "forbidden")
    for path in ("/files", f"/revisions/{shared['ours']}/diff"):
        answer = client.get(path)
        assert answer.status_code == 403 or success(answer)[path.rpartition("/")[2]] in ([], ""), answer.text


def test_a_rollback_takes_the_right_on_each_dag_that_it_touches(fab: Server, shared: dict[str, str]) -> None:
    client = fab.client("teammate")
    sent = {"dag_file": ("secret.py", dag_files.dag("secret", "new"))}
    success(fab.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y", "force": "y"}))
    sent = {"dag_file": ("ours.py", dag_files.dag("ours", "new"))}
    success(client.post("/deploy_dag", files=sent, data={"otf_sync": "y", "force": "y"}))
    with unchanged(fab):
        problem(rollback(client, shared["secret"]), 403, "forbidden")
        problem(rollback(client, shared["secret"], path="secret.py"), 403, "forbidden")
    success(rollback(client, shared["secret"], path="ours.py"))
