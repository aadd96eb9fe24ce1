"""The web server is killed at random moments: after its next start the folder is the old revision or the new one."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import psutil
import pytest
import real_servers
from real_servers import S3Server

from contract import dag_files
from contract import server as servers
from contract.checks import success
from contract.server import Server

KILLS = int(os.environ.get("XTENDED_SERVER_KILLS", "1"))
"""How often the server is killed in each test; a soak asks for 200."""

FILES = 1000
"""Files of the large change sets; syncs have their own."""

SETTINGS = {"AIRFLOW__XTENDED_API__OUTBOUND_ALLOW": "127.0.0.1/32"}

SEED = int(os.environ.get("XTENDED_SEED", "1"))

Files = Mapping[str, bytes]


@pytest.fixture
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with real_servers.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


class Writer:
    """Changes the folder, one request after the other, until the server is gone.

    `allowed` is what the folder may hold at any moment: what the last answer left, and what the request that is
    under way would make of it.
    """

    def __init__(
        self,
        server: Server,
        s3: S3Server,
        states: dict[str, Files],
        rng: random.Random,
        *,
        syncs_only: bool,
    ) -> None:
        self._server = server
        self._s3 = s3
        self._states = states
        self._rng = rng
        self._ways = (
            [self._sync] if syncs_only else [self._deploy, self._zip, self._rollback, self._purge, self._sync]
        )
        self.allowed: list[Files] = [server.files()]
        self.refused: AssertionError | None = None

    def run(self) -> None:
        with contextlib.suppress(httpx.TransportError):
            self._go_on()

    def _go_on(self) -> None:
        try:
            while True:
                send, after = self._rng.choice(self._ways)()
                self.allowed.append(after)
                revision = success(send())["revision"]
                self._states[revision] = after
                self.allowed = [after]
        except AssertionError as error:
            self.refused = error

    def _deploy(self) -> tuple[Callable[[], httpx.Response], Files]:
        number, task = self._rng.randrange(3), f"t{self._rng.randrange(10**9)}"
        return self._send(f"dag_{number}.py", dag_files.dag(f"dag_{number}", task))

    def _zip(self) -> tuple[Callable[[], httpx.Response], Files]:
        members = {f"part_{n}.py": f"x = {self._rng.random()}\n".encode() for n in range(20)}
        return self._send("packed.zip", dag_files.archive({**members, "in.py": dag_files.dag("packed")}))

    def _send(self, name: str, content: bytes) -> tuple[Callable[[], httpx.Response], Files]:
        def send() -> httpx.Response:
            return self._server.admin.post(
                "/deploy_dag", files={"dag_file": (name, content)}, data={"force": "y"}
            )

        return send, {**self.allowed[0], name: content}

    def _rollback(self) -> tuple[Callable[[], httpx.Response], Files]:
        revision = self._rng.choice([*self._states])
        query = {"revision": revision, "force": "y"}
        return lambda: self._server.admin.post("/rollback", params=query), self._states[revision]

    def _purge(self) -> tuple[Callable[[], httpx.Response], Files]:
        return lambda: self._server.admin.post("/purge_dags"), {}

    def _sync(self) -> tuple[Callable[[], httpx.Response], Files]:
        bucket = f"bucket-{self._rng.randrange(10**9)}"
        dag_id = f"synced_{self._rng.randrange(3)}"
        files = {f"text_{n}.txt": f"{self._rng.random()}\n".encode() for n in range(200)}
        files[f"{dag_id}.py"] = dag_files.dag(dag_id)
        self._s3.fill(bucket, files)
        fields = {
            "s3_bucket_name": bucket,
            "s3_region": "us-east-1",
            "s3_access_key": self._s3.access_key,
            "s3_secret_key": self._s3.secret_key,
            "s3_endpoint_url": self._s3.url,
        }
        form = {name: (None, value) for name, value in fields.items()}
        return lambda: self._server.admin.post("/s3_sync", files=form), files


def kill(server: Server) -> None:
    """All at once and without warning, as a power cut or an out-of-memory killer does."""
    doomed = [psutil.Process(server.process.pid), *server.processes()]
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(doomed, timeout=30)
    server.process.wait()


def check_whole(server: Server, allowed: list[Files]) -> None:
    """The folder is one of these, and the history says the same, by no other hands."""
    (newest,) = success(server.admin.get("/revisions", params={"limit": 1}))["revisions"]
    assert newest["operation"] != "changed_outside"
    assert (
        success(server.admin.get(f"/revisions/{newest['id']}/diff", params={"against": "live"}))["diff"] == ""
    )
    assert server.files() in allowed


@pytest.mark.timeout(0)
@pytest.mark.parametrize("syncs_only", [False, True], ids=["changes of all kinds", "syncs"])
def test_the_folder_is_whole_after_each_kill(tmp_path: Path, s3: S3Server, syncs_only: bool) -> None:
    rng = random.Random(SEED)
    server = servers.start(tmp_path, SETTINGS)
    states: dict[str, Files] = {}
    try:
        (server.dags / "data").mkdir()
        for number in range(1 if syncs_only else FILES):
            (server.dags / "data" / f"{number}.txt").write_text(f"{number}\n")
        files = server.files()
        success(server.admin.post("/purge_dags"))
        (purge,) = success(server.admin.get("/revisions", params={"limit": 1}))["revisions"]
        states[purge["parent"]] = files
        for _ in range(KILLS):
            writer = Writer(server, s3, states, rng, syncs_only=syncs_only)
            at_work = threading.Thread(target=writer.run)
            at_work.start()
            time.sleep(rng.uniform(0.5, 4))
            kill(server)
            at_work.join()
            assert writer.refused is None
            server = servers.start(tmp_path, SETTINGS)
            check_whole(server, writer.allowed)
    finally:
        server.close()
