"""A long sync tells how far it is, can be left to itself, and be cancelled."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
from real_servers import S3Server

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.file_server import FileServer
from contract.server import Server, unchanged
from contract.syncs.conftest import Sync
from contract.syncs.made_pages import Made, listing


def test_progress_comes_line_by_line(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    s3.fill(bucket, {f"{name}.py": dag_files.dag(name), **{f"t/{n}.txt": b"text" for n in range(149)}})
    answer = s3_sync(headers={"Accept": "application/x-ndjson"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    told = [(line["stage"], line["files"]) for line in lines[:-1]]
    assert told == [
        ("listed", 100),
        ("listed", 150),
        ("fetched", 100),
        ("fetched", 150),
        ("parsed", 1),
        ("applied", 150),
    ]
    assert lines[-1]["message"] == "dag files synced from s3"
    failed = s3_sync(headers={"Accept": "application/x-ndjson"}, s3_secret_key="wrong+secret")
    assert json.loads(failed.text.splitlines()[-1])["type"].endswith("source-denied")
    silent_about(failed, "wrong+secret")


def test_a_sync_in_the_background_is_asked_after(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    s3.fill(bucket, {f"{name}.py": dag_files.dag(name)})
    answer = s3_sync(background="y")
    assert answer.status_code == 202, answer.text
    silent_about(answer, s3.secret_key)
    ended = ended_operation(server, answer)
    assert ended["state"] == "succeeded"
    assert ended["counts"] == {"listed": 1, "fetched": 1, "parsed": 1, "applied": 1}
    assert ended["result"]["sync_status"] == {"synced": [f"{name}.py"], "failed": []}
    assert set(server.files()) == {f"{name}.py"}
    kept = b"".join(path.read_bytes() for path in (server.home / "xtended" / "operations").iterdir())
    assert s3.secret_key.encode() not in kept
    problem(server.client("viewer").delete(f"/operations/{ended['id']}"), 403, "forbidden")
    problem(server.admin.get("/operations/" + "0" * 32), 404, "not-found")


def test_a_background_sync_that_fails_says_why(s3_sync: Sync, server: Server) -> None:
    ended = ended_operation(server, s3_sync(background="y", s3_secret_key="wrong+secret"))
    assert ended["state"] == "failed"
    assert ended["problem"]["type"].endswith("source-denied")


def test_a_background_sync_can_be_cancelled(
    s3_sync: Sync, bucket: str, server: Server, file_server: FileServer
) -> None:
    (server.dags / "old.py").write_bytes(b"X = 1\n")
    numbers = iter(range(10**6))

    def never_ending() -> bytes:
        number = next(numbers)
        return listing({f"{number}.py": 1}, next_token=str(number))

    file_server.pages[f"/{bucket}"] = Made(never_ending)
    with unchanged(server):
        begun = s3_sync(background="y", s3_endpoint_url=file_server.url)
        identity = begun.json()["operation"]["id"]
        listed = success(server.admin.get("/operations", params={"state": "running"}))["operations"]
        assert [each["id"] for each in listed] == [identity]
        success(server.admin.delete(f"/operations/{identity}"))
        ended = ended_operation(server, begun)
    assert ended["state"] == "cancelled"
    assert success(server.admin.get("/operations", params={"state": "running"}))["operations"] == []
    assert success(server.admin.get("/operations"))["operations"][0] == ended


def ended_operation(server: Server, accepted: httpx.Response) -> Any:
    """The operation that was accepted, once it has ended.

    It is waited for beside the API: how often one asks until then would be another answer on each host.
    """
    assert accepted.status_code == 202, accepted.text
    place = accepted.headers["location"]
    file = server.home / "xtended" / "operations" / f"{place.rpartition('/')[2]}.json"
    deadline = time.monotonic() + 30
    while json.loads(file.read_text())["state"] == "running":
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.05)
    return success(server.admin.get(server.url + place))["operation"]
