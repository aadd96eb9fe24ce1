"""A source that fails, or holds what can't be taken, changes nothing."""

from __future__ import annotations

import pytest
from real_servers import S3Server

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.file_server import FileServer, Page
from contract.server import Server, unchanged
from contract.syncs.conftest import Sync
from contract.syncs.made_pages import Made, listing

BROKEN = dag_files.dag("broken", before="import no_such_module")
FAULTS: dict[str, tuple[dict[str, str], int, str]] = {
    "wrong secret": ({"s3_secret_key": "wrong+secret"}, 502, "source-denied"),
    "wrong key": ({"s3_access_key": "NOBODY"}, 502, "source-denied"),
    "no bucket": ({"s3_bucket_name": "no-such-bucket"}, 502, "source-missing"),
    "down": ({"s3_endpoint_url": "http://127.0.0.1:1"}, 502, "source-failed"),
    "private": ({"s3_endpoint_url": "http://10.1.2.3"}, 403, "outbound-refused"),
    "no url": ({"s3_endpoint_url": "file:///etc/passwd"}, 400, "bad-request"),
    "empty": ({"s3_object_prefix": "nothing/"}, 409, "source-empty"),
    "a missing object": ({"s3_object_keys": "good.py,missing.py"}, 422, "source-files-invalid"),
    "half the keys": ({"s3_secret_key": ""}, 400, "bad-request"),
    "both kinds of keys": ({"conn_id": "x"}, 400, "bad-request"),
}


@pytest.mark.parametrize(("fields", "status", "kind"), FAULTS.values(), ids=FAULTS)
def test_a_source_that_fails_changes_nothing(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, fields: dict[str, str], status: int, kind: str
) -> None:
    (server.dags / "old.py").write_bytes(b"X = 1\n")
    s3.fill(bucket, {"good.py": b"X = 2\n"})
    with unchanged(server):
        answer = s3_sync(**fields)
    problem(answer, status, kind)
    silent_about(answer, s3.secret_key, "wrong+secret")
    for secret in (s3.secret_key, "wrong+secret"):
        assert secret not in server.log()


def test_each_bad_file_is_named_and_nothing_changes(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    (server.dags / "old.py").write_bytes(b"X = 1\n")
    s3.fill(bucket, {f"{name}.py": dag_files.dag(name), "broken.py": BROKEN})
    with unchanged(server):
        body = problem(s3_sync(), 422, "dag-invalid")
    assert [error["file"] for error in body["import_errors"]] == ["broken.py"]
    s3.fill(bucket, {".hidden/a.py": b"", "large.py": b"#" * (3 * 1024 * 1024 + 1), "bad.zip": b"PK"})
    with unchanged(server):
        body = problem(s3_sync(), 422, "source-files-invalid")
    assert {error["file"] for error in body["import_errors"]} == {".hidden/a.py", "large.py", "bad.zip"}


def test_skip_takes_the_good_files_and_lists_the_bad(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    (server.dags / "broken.py").write_bytes(b"X = 'the last good one'\n")
    (server.dags / "old.py").write_bytes(b"X = 1\n")
    s3.fill(
        bucket,
        {
            f"{name}.py": dag_files.dag(name),
            "broken.py": BROKEN,
            ".hidden/a.py": b"",
        },
    )
    body = success(s3_sync(on_error="skip"))
    assert body["sync_status"]["synced"] == [f"{name}.py"]
    assert [failed.partition(": ")[0] for failed in body["sync_status"]["failed"]] == [
        ".hidden/a.py",
        "broken.py",
    ]
    assert server.files()["broken.py"] == b"X = 'the last good one'\n"
    assert set(server.files()) == {"broken.py", f"{name}.py"}


def test_an_object_of_five_gigabytes_is_refused_unread(
    s3_sync: Sync, bucket: str, server: Server, file_server: FileServer
) -> None:
    file_server.pages[f"/{bucket}"] = Page(listing({"huge.py": 5 * 1024**3, "small.py": 1}))
    with unchanged(server):
        body = problem(s3_sync(s3_endpoint_url=file_server.url), 422, "source-files-invalid")
    assert "huge.py" in [error["file"] for error in body["import_errors"]]
    assert not [path for path in file_server.asked if "huge.py" in path]


def test_a_server_that_dies_while_it_is_read_changes_nothing(
    s3_sync: Sync, bucket: str, server: Server, file_server: FileServer
) -> None:
    (server.dags / "old.py").write_bytes(b"X = 1\n")

    def die() -> bytes:
        raise ConnectionAbortedError

    file_server.pages[f"/{bucket}"] = Page(listing({"a.py": 6, "b.py": 6}))
    file_server.pages[f"/{bucket}/a.py"] = Page(b"X = 2\n")
    file_server.pages[f"/{bucket}/b.py"] = Made(die)
    with unchanged(server):
        problem(s3_sync(s3_endpoint_url=file_server.url), 502, "source-failed")
        problem(s3_sync(s3_endpoint_url=file_server.url, on_error="skip"), 502, "source-failed")


def test_a_page_that_is_no_listing_empties_no_folder(
    s3_sync: Sync, bucket: str, server: Server, file_server: FileServer
) -> None:
    (server.dags / "old.py").write_bytes(b"X = 1\n")
    file_server.pages[f"/{bucket}"] = Page(b"<html><body>Please log in</body></html>")
    with unchanged(server):
        problem(s3_sync(s3_endpoint_url=file_server.url, allow_empty="y"), 502, "source-failed")
