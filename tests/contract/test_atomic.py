"""Files and database change together, or not at all, and a reader never sees half a file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

import httpx

from contract import checks, dag_files
from contract.server import Server, unchanged

Deploy = Callable[..., httpx.Response]


def test_a_reader_never_sees_half_a_file(server: Server, deploy: Deploy, name: str) -> None:
    contents = [dag_files.dag(name, task) + b"# " + task.encode() * 70_000 for task in ("one", "two")]
    path = server.dags / f"{name}.py"
    checks.success(deploy(path.name, contents[0]))
    seen: set[bytes] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 41):
            checks.success(deploy(path.name, contents[number % 2], force="y"))
    finally:
        over.set()
        reader.join()
    assert seen == set(contents)


def test_a_database_that_refuses_leaves_the_folder_as_it_was(
    server: Server, deploy: Deploy, name: str
) -> None:
    good = dag_files.dag(name)
    checks.success(deploy(f"{name}.py", good, otf_sync="y"))
    held = sqlite3.connect(server.home / "airflow.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    try:
        with unchanged(server):
            answer = deploy(f"{name}.py", dag_files.dag(name, "new"), force="y", otf_sync="y")
            checks.problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"]
            checks.problem(server.admin.delete("/delete_dag", params={"dag_id": name}), 503, "unavailable")
    finally:
        held.execute("ROLLBACK")
        held.close()
    assert (server.dags / f"{name}.py").read_bytes() == good
    checks.success(deploy(f"{name}.py", dag_files.dag(name, "new"), force="y", otf_sync="y"))
    assert server.airflow.tasks(name) == {"new"}


def test_a_database_that_lets_nobody_read_is_a_503_for_readers(server: Server) -> None:
    """What a large transaction does to everyone else where the database is SQLite without a write-ahead log."""
    held = sqlite3.connect(server.home / "airflow.db", isolation_level=None)
    (journal,) = held.execute("PRAGMA journal_mode").fetchone()
    held.execute("BEGIN EXCLUSIVE")
    try:
        answer = server.admin.get("/list_dags")
    finally:
        held.execute("ROLLBACK")
        held.close()
    if journal == "wal":
        checks.success(answer)
    else:
        checks.problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"]
    checks.success(server.admin.get("/list_dags"))


def test_writers_at_the_same_time_each_have_their_way(server: Server, name: str) -> None:
    """Two files each, over and over, from eight threads: no answer fails, the last state is whole."""
    failures: list[str] = []

    def write(which: int) -> None:
        with httpx.Client(base_url=server.api, auth=server.admin.auth, timeout=120) as client:
            for round_ in range(4):
                content = dag_files.dag(f"{name}_{which}", f"round_{round_}")
                answer = client.post(
                    "/deploy_dag",
                    files={"dag_file": (f"{name}_{which}.py", content)},
                    data={"force": "y", "otf_sync": "y"},
                )
                if answer.status_code != 200:
                    failures.append(answer.text)

    threads = [threading.Thread(target=write, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for which in range(8):
        assert server.airflow.tasks(f"{name}_{which}") == {"round_3"}
