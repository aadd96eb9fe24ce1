"""Every change of the DAG folder is recorded, can be made to depend on a revision, and is done once for each key."""

from __future__ import annotations

import re
import subprocess
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import filelock
import httpx
import pytest

from contract import dag_files
from contract.checks import problem, success
from contract.file_server import FileServer
from contract.server import Server, unchanged

Deploy = Callable[..., httpx.Response]
NO_REVISION = "0" * 40


def repository(server: Server) -> Path:
    (found,) = (server.home / "xtended" / "history").glob("dags-*")
    return found


def git(server: Server, *command: str) -> str:
    """The history is a repository that git itself reads."""
    told = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(repository(server)), *command],
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout


def form(**fields: str | bytes) -> dict[str, tuple[None, str | bytes]]:
    return {name: (None, value) for name, value in fields.items()}


def create(
    client: httpx.Client, name: str, *, headers: dict[str, str] | None = None, **fields: str
) -> httpx.Response:
    code = dag_files.dag(name)
    return client.post(
        "/create_dag", files=form(filename=f"{name}.py", dag_code=code, **fields), headers=headers
    )


def test_git_log_tells_who_did_what_and_why(server: Server, deploy: Deploy, name: str) -> None:
    first = success(deploy(f"{name}.py", dag_files.dag(name), message="ship it\n\nAsked for by sales."))
    second = success(server.admin.delete("/delete_dag", params={"filename": f"{name}.py"}))
    told = git(server, "log", "-2", "--format=%H|%an|%s|%b")
    newest, before = told.split(second["revision"])[1].split(first["revision"])
    assert newest.startswith(f"|admin|delete_dag: delete {name}.py|")
    assert before.startswith("|admin|deploy_dag: ship it|Asked for by sales.")
    assert f"DAG-Id: {name} in {name}.py" in before
    assert git(server, "show", f"{first['revision']}:{name}.py").encode() == dag_files.dag(name)
    git(server, "fsck", "--strict")


def test_each_operation_answers_with_its_revision(
    server: Server, admin: httpx.Client, deploy: Deploy, file_server: FileServer, name: str
) -> None:
    url = file_server.serve(dag_files.dag(f"{name}_url"))
    answers = [
        deploy(f"{name}_deployed.py", dag_files.dag(f"{name}_deployed")),
        create(admin, f"{name}_created"),
        admin.post("/deploy_dag_from_url", files=form(dag_file_url=url, filename=f"{name}_url.py")),
        admin.post("/upload_file", files={"file": (f"{name}.txt", b"text")}),
        admin.delete("/delete_dag", params={"filename": f"{name}_created.py"}),
        admin.post("/purge_dags"),
    ]
    revisions = [success(answer)["revision"] for answer in answers]
    assert all(re.fullmatch(r"[0-9a-f]{40}", revision) for revision in revisions)
    assert len(set(revisions)) == len(revisions)


def test_a_dry_run_makes_no_revision_and_says_all(
    server: Server, admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    with unchanged(server):
        uploaded = success(
            admin.post("/upload_file", files={"file": (f"{name}.txt", b"1")}, data={"dry_run": "y"})
        )
        deleted = success(admin.delete("/delete_dag", params={"dag_id": name, "dry_run": "y"}))
    assert uploaded["files"] == {"added": [f"{name}.txt"], "changed": [], "deleted": []}
    assert deleted["files"] == {"added": [], "changed": [], "deleted": [f"{name}.py"]}
    assert deleted["removed_dag_ids"] == [name]
    assert uploaded["dry_run"] is deleted["dry_run"] is True
    assert uploaded["revision"] is deleted["revision"] is None


@pytest.mark.parametrize("quote", ['"{}"', "{}"], ids=["quoted", "bare"])
def test_if_match_lets_the_newest_revision_pass_and_no_other(
    server: Server, admin: httpx.Client, deploy: Deploy, name: str, quote: str
) -> None:
    first = success(deploy(f"{name}.py", dag_files.dag(name)))["revision"]
    second = success(create(admin, f"{name}_two", headers={"If-Match": quote.format(first)}))["revision"]
    stale = {"If-Match": quote.format(first)}
    with unchanged(server):
        for answer in (
            create(admin, f"{name}_three", headers=stale),
            admin.post(
                "/deploy_dag",
                files={"dag_file": (f"{name}.py", dag_files.dag(name))},
                data={"force": "y"},
                headers=stale,
            ),
            admin.post("/upload_file", files={"file": (f"{name}.txt", b"text")}, headers=stale),
            admin.delete("/delete_dag", params={"filename": f"{name}.py"}, headers=stale),
            admin.post("/purge_dags", headers=stale),
            admin.get("/purge_dags", headers=stale),
        ):
            assert problem(answer, 412, "revision-moved")["revision"] == second


def test_of_many_that_match_one_revision_one_wins(server: Server, deploy: Deploy, name: str) -> None:
    head = success(deploy(f"{name}.py", dag_files.dag(name)))["revision"]
    answers: list[httpx.Response] = []
    auth = httpx.BasicAuth("admin", server.passwords["admin"])

    def write(number: int) -> None:
        with httpx.Client(base_url=server.api, auth=auth, timeout=120) as client:
            answers.append(create(client, f"{name}_{number}", headers={"If-Match": head}))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    for answer in answers:
        if answer is not won[0]:
            assert problem(answer, 412, "revision-moved")["revision"] == success(won[0])["revision"]


def test_the_same_request_twice_is_done_once(server: Server, admin: httpx.Client, name: str) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = success(create(admin, name, headers=key))
    with unchanged(server):
        # Without the key it would be a 409: the file exists.
        again = create(admin, name, headers=key)
        assert success(again) == first
        problem(create(admin, name), 409, "file-exists")
        problem(create(admin, f"{name}_other", headers=key), 400, "bad-request")
    # The key is this user's alone.
    success(create(server.client("op"), f"{name}_ops", headers=key))
    deleted = [
        admin.delete("/delete_dag", params={"filename": f"{name}.py"}, headers={"Idempotency-Key": name})
        for _ in "ab"
    ]
    assert success(deleted[0]) == success(deleted[1])


def test_a_file_is_part_of_the_request_that_a_key_names(admin: httpx.Client, name: str) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}

    def send(content: bytes) -> httpx.Response:
        return admin.post("/upload_file", files={"file": (f"{name}.txt", content)}, headers=key)

    first = success(send(b"one"))
    assert success(send(b"one")) == first
    problem(send(b"two"), 400, "bad-request")


def test_a_request_that_failed_may_be_sent_again(
    server: Server, admin: httpx.Client, deploy: Deploy, name: str
) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    success(deploy(f"{name}.py", dag_files.dag(name)))
    problem(create(admin, name, headers=key), 409, "file-exists")
    success(admin.delete("/delete_dag", params={"filename": f"{name}.py"}))
    success(create(admin, name, headers=key))


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_of_no_sensible_length_is_refused(
    server: Server, admin: httpx.Client, name: str, key: str
) -> None:
    with unchanged(server):
        problem(create(admin, name, headers={"Idempotency-Key": key}), 400, "bad-request")


def test_a_folder_that_another_change_holds_is_a_503_that_says_when_to_come_again(
    server: Server, deploy: Deploy, name: str
) -> None:
    with filelock.FileLock(repository(server) / "xtended" / "lock"), unchanged(server):
        answer = deploy(f"{name}.py", dag_files.dag(name))
        problem(answer, 503, "folder-busy")
        assert int(answer.headers["retry-after"]) > 0
    success(deploy(f"{name}.py", dag_files.dag(name)))


def test_what_other_hands_did_is_recorded_before_it_is_replaced(
    server: Server, deploy: Deploy, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name)))
    by_hand = dag_files.dag(name, "by_hand")
    (server.dags / f"{name}.py").write_bytes(by_hand)
    problem(deploy(f"{name}.py", dag_files.dag(name, "new")), 409, "file-exists")
    revision = success(deploy(f"{name}.py", dag_files.dag(name, "new"), force="y"))["revision"]
    assert git(server, "show", f"{revision}~1:{name}.py").encode() == by_hand
    assert git(server, "log", "-1", "--format=%an", f"{revision}~1").strip() == "outside of the API"
