"""s3_sync and mongo_sync: the folder ends up as the source is, or stays as it was."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import real_servers
from real_servers import MongoServer, S3Server

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.file_server import FileServer, Page
from contract.server import Server, unchanged

Sync = Callable[..., httpx.Response]
BROKEN = dag_files.dag("broken", before="import no_such_module")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with real_servers.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with real_servers.mongo(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server, name: str) -> str:
    found = name.replace("_", "-").lower()[:63].strip("-")
    (s3.folder / found).mkdir()
    return found


@pytest.fixture
def s3_sync(empty_folder: Server, s3: S3Server, bucket: str) -> Sync:
    """s3_sync of the test's bucket, with the right keys unless others are given; None leaves a field out."""

    def send(headers: dict[str, str] | None = None, **more: str | None) -> httpx.Response:
        fields = {
            "s3_bucket_name": bucket,
            "s3_region": "us-east-1",
            "s3_access_key": s3.access_key,
            "s3_secret_key": s3.secret_key,
            "s3_endpoint_url": s3.url,
            **more,
        }
        return empty_folder.admin.post("/s3_sync", files=form(fields), headers=headers)

    return send


@pytest.fixture
def collection(mongo: MongoServer, name: str) -> Iterator[Any]:
    with mongo.client() as client:
        yield client["dags"][name]


@pytest.fixture
def mongo_sync(empty_folder: Server, mongo: MongoServer, collection: Any) -> Sync:
    def send(**more: str | None) -> httpx.Response:
        fields = {
            "connection_string": mongo.uri(),
            "db_name": "dags",
            "collection_name": collection.name,
            "field_filename": "name",
            "field_dag_source": "source",
            **more,
        }
        return empty_folder.admin.post("/mongo_sync", files=form(fields))

    return send


def form(fields: dict[str, str | None]) -> dict[str, tuple[None, str]]:
    return {name: (None, value) for name, value in fields.items() if value is not None}


def test_the_folder_ends_up_as_the_bucket_is(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    (server.dags / "gone.py").write_bytes(dag_files.dag(f"{name}_gone"))
    (server.dags / "keep_me.py").write_text("# kept by purge_keep\n")
    success(server.admin.post("/scan_dags", params={"otf_sync": "y"}))
    files = {
        f"{name}.py": dag_files.dag(name),
        "team/helper.py": b"X = 1\n",
        "team/query.sql": b"SELECT 1\n",
        "team/in.zip": dag_files.archive({"in.py": dag_files.dag(f"{name}_zip")}),
    }
    s3.fill(bucket, files)
    body = success(s3_sync(otf_sync="y"))
    assert body["message"] == "dag files synced from s3"
    assert body["sync_status"] == {"synced": sorted(files), "failed": []}
    assert body["files"]["deleted"] == ["gone.py"]
    assert body["removed_dag_ids"] == [f"{name}_gone"]
    assert body["dag_ids"] == [name, f"{name}_zip"]
    assert server.files() == {**files, "keep_me.py": b"# kept by purge_keep\n"}
    server.airflow.trigger(name)
    gone = server.airflow.dag(f"{name}_gone")
    assert gone is None or gone.stale


def test_skip_purge_adds_and_replaces(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    (server.dags / "mine.py").write_bytes(dag_files.dag(f"{name}_mine"))
    (server.dags / f"{name}.py").write_bytes(b"old = 1\n")
    s3.fill(bucket, {f"{name}.py": dag_files.dag(name)})
    body = success(s3_sync(skip_purge="y"))
    assert body["files"] == {"added": [], "changed": [f"{name}.py"], "deleted": []}
    assert set(server.files()) == {"mine.py", f"{name}.py"}


def test_a_prefix_keys_and_globs_choose(s3_sync: Sync, s3: S3Server, bucket: str, server: Server) -> None:
    s3.fill(bucket, {"dags/a.py": b"", "dags/b.py": b"", "dags/c.txt": b"", "other/d.py": b"", ".git/x": b""})
    success(s3_sync(s3_object_prefix="dags/", strip_prefix="dags/", exclude="b*"))
    assert set(server.files()) == {"a.py", "c.txt"}
    success(s3_sync(s3_object_keys="dags/b.py, other/d.py"))
    assert set(server.files()) == {"dags/b.py", "other/d.py"}
    success(s3_sync(include="*.py"))
    assert set(server.files()) == {"dags/a.py", "dags/b.py", "other/d.py"}


def test_what_has_not_changed_is_not_fetched_again(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    s3.fill(bucket, {f"{name}.py": dag_files.dag(name), "helper.py": b"X = 1\n"})
    success(s3_sync())
    entries = len(server.airflow.audit("xtended.s3_sync"))
    again = success(s3_sync())
    assert again["message"] == "dag files synced from s3; nothing has changed"
    assert again["revision"] is None
    assert again["unchanged"] == 2
    assert again["sync_status"]["synced"] == ["helper.py", f"{name}.py"]
    assert again["files"] == {"added": [], "changed": [], "deleted": []}
    assert len(server.airflow.audit("xtended.s3_sync")) == entries
    s3.fill(bucket, {"helper.py": b"X = 2\n"})
    third = success(s3_sync())
    assert third["unchanged"] == 1
    assert third["files"]["changed"] == ["helper.py"]


def test_a_file_that_others_changed_is_brought_back(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server
) -> None:
    s3.fill(bucket, {"a.py": b"X = 1\n", "b.py": b"Y = 1\n"})
    success(s3_sync())
    changed = server.dags / "a.py"
    before = changed.stat()
    changed.write_bytes(b"X = 9\n")
    # As a tool leaves it that copies times, too.
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    (server.dags / "b.py").unlink()
    body = success(s3_sync())
    assert body["files"] == {"added": ["b.py"], "changed": ["a.py"], "deleted": []}
    assert server.files() == {"a.py": b"X = 1\n", "b.py": b"Y = 1\n"}
    # What they had done is in the history, before the sync that undid it.
    newest, theirs, *_ = success(server.admin.get("/revisions", params={"path": "a.py"}))["revisions"]
    assert newest["operation"] == "s3_sync"
    success(server.admin.post("/rollback", params={"revision": theirs["id"], "path": "a.py"}))
    assert server.files() == {"a.py": b"X = 9\n", "b.py": b"Y = 1\n"}


def test_a_sync_is_held_to_the_revision_that_it_names(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server
) -> None:
    s3.fill(bucket, {"a.py": b"X = 1\n"})
    revision = success(s3_sync())["revision"]
    assert success(s3_sync(headers={"If-Match": revision}))["revision"] is None
    for _ in range(2):
        with unchanged(server):
            problem(s3_sync(headers={"If-Match": "0" * 40}), 412, "revision-moved")
        s3.fill(bucket, {"a.py": b"X = 2\n"})


def test_a_sync_that_is_sent_twice_under_a_key_is_done_once(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server
) -> None:
    s3.fill(bucket, {"a.py": b"X = 1\n"})
    key = {"Idempotency-Key": bucket}
    first = success(s3_sync(headers=key))
    s3.fill(bucket, {"a.py": b"X = 2\n"})
    assert success(s3_sync(headers=key)) == first
    kept = (server.home / "xtended").rglob("*")
    secret = s3.secret_key.encode()
    assert not [path for path in kept if path.is_file() and secret in path.read_bytes()]


def test_a_dag_of_a_file_that_stays_is_not_taken_over(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    s3.fill(bucket, {"first.py": dag_files.dag(name)})
    success(s3_sync(otf_sync="y"))
    s3.fill(bucket, {"second.py": dag_files.dag(name)})
    with unchanged(server):
        body = problem(s3_sync(otf_sync="y"), 409, "dag-defined-elsewhere")
    assert body["dag_ids"] == [name]
    # Where its file goes with the same sync, or has gone already, it moves.
    (s3.folder / bucket / "first.py").unlink()
    success(s3_sync(otf_sync="y"))
    (server.dags / "second.py").unlink()
    (s3.folder / bucket / "second.py").rename(s3.folder / bucket / "third.py")
    success(s3_sync(otf_sync="y"))
    server.airflow.trigger(name)


def test_otf_sync_makes_dags_live_that_an_earlier_sync_did_not(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    s3.fill(bucket, {f"{name}.py": dag_files.dag(name)})
    success(s3_sync())
    success(s3_sync(otf_sync="y"))
    server.airflow.trigger(name)


def test_a_dry_run_changes_nothing(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    (server.dags / "old.py").write_bytes(b"X = 1\n")
    s3.fill(bucket, {f"{name}.py": dag_files.dag(name)})
    with unchanged(server):
        body = success(s3_sync(dry_run="y"))
    assert body["dry_run"] is True
    assert body["files"] == {"added": [f"{name}.py"], "changed": [], "deleted": ["old.py"]}
    assert body["dag_ids"] == [name]


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


def test_an_empty_source_empties_the_folder_when_told_so(s3_sync: Sync, server: Server) -> None:
    (server.dags / "old.py").write_bytes(b"X = 1\n")
    success(s3_sync(allow_empty="y"))
    assert server.files() == {}


def test_what_the_sync_did_is_in_the_audit_log_without_secrets(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server, name: str
) -> None:
    s3.fill(bucket, {f"{name}.py": dag_files.dag(name)})
    success(s3_sync(otf_sync="y"))
    entry = server.airflow.audit("xtended.s3_sync")[0]
    assert entry.user == "admin"
    assert f"{name}.py" in entry.extra
    assert s3.secret_key not in json.dumps([line.extra for line in server.airflow.audit()])


def test_a_connection_of_airflow_holds_the_keys(
    s3_sync: Sync, s3: S3Server, bucket: str, server: Server
) -> None:
    server.airflow.add_connection(
        {
            "connection_id": bucket,
            "conn_type": "aws",
            "login": s3.access_key,
            "password": s3.secret_key,
            "extra": json.dumps({"endpoint_url": s3.url, "region_name": "us-east-1"}),
        }
    )
    s3.fill(bucket, {"a.py": b"X = 1\n"})
    no_keys = dict.fromkeys(["s3_access_key", "s3_secret_key", "s3_region", "s3_endpoint_url"])
    answer = s3_sync(conn_id=bucket, **no_keys)
    success(answer)
    silent_about(answer, s3.secret_key)
    assert set(server.files()) == {"a.py"}
    problem(s3_sync(conn_id="no_such_connection", **no_keys), 404, "not-found")


def test_without_keys_the_web_servers_own_role_is_taken(
    s3_sync: Sync, s3: S3Server, bucket: str, name: str
) -> None:
    """Here it comes from the environment, where boto3 looks first."""
    s3.fill(bucket, {f"{name}.py": dag_files.dag(name)})
    no_keys = dict.fromkeys(["s3_access_key", "s3_secret_key"])
    assert success(s3_sync(**no_keys))["sync_status"]["synced"] == [f"{name}.py"]


def test_one_user_without_the_right_to_all_dags_syncs_nothing(server: Server) -> None:
    files = server.files()
    answer = server.client("viewer").post("/s3_sync", files=form({"s3_bucket_name": "any"}))
    problem(answer, 403, "forbidden")
    assert server.files() == files


def test_the_folder_ends_up_as_the_collection_is(
    mongo_sync: Sync, collection: Any, server: Server, name: str
) -> None:
    (server.dags / "old.py").write_bytes(b"X = 1\n")
    collection.insert_many(
        [
            {"name": name, "source": dag_files.dag(name).decode(), "team": "a"},
            {"name": "helper.py", "source": "X = 1\n", "team": "a"},
            {"name": "other.py", "source": "X = 1\n", "team": "b"},
        ]
    )
    body = success(mongo_sync(query_filter='{"team": "a"}', otf_sync="y"))
    assert body["message"] == "dag files synced from mongo"
    assert body["sync_status"] == {"synced": ["helper.py", f"{name}.py"], "failed": []}
    assert set(server.files()) == {"helper.py", f"{name}.py"}
    server.airflow.trigger(name)
    again = success(mongo_sync(query_filter='{"team": "a"}', otf_sync="y"))
    assert again["unchanged"] == 2
    assert again["revision"] is None


MONGO_FAULTS: dict[str, tuple[dict[str, str | None], int, str]] = {
    "no collection": ({"collection_name": "no_such_collection"}, 502, "source-missing"),
    "down": ({"connection_string": "mongodb://127.0.0.1:1/?connectTimeoutMS=1"}, 502, "source-failed"),
    "private": ({"connection_string": "mongodb://10.1.2.3/"}, 403, "outbound-refused"),
    "no string": ({"connection_string": "mysql://x"}, 400, "bad-request"),
    "nothing given": ({"connection_string": None}, 400, "bad-request"),
    "code": ({"query_filter": '{"$where": "1"}'}, 400, "bad-request"),
    "no json": ({"query_filter": "team = a"}, 400, "bad-request"),
    "empty": ({"query_filter": '{"name": "none"}'}, 409, "source-empty"),
    "no such field": ({"field_filename": "file.name"}, 422, "source-files-invalid"),
}


@pytest.mark.parametrize(("fields", "status", "kind"), MONGO_FAULTS.values(), ids=MONGO_FAULTS)
def test_a_collection_that_fails_changes_nothing(
    mongo_sync: Sync,
    mongo: MongoServer,
    collection: Any,
    server: Server,
    fields: dict[str, str | None],
    status: int,
    kind: str,
) -> None:
    (server.dags / "old.py").write_bytes(b"X = 1\n")
    collection.insert_one({"name": "good.py", "source": "X = 2\n"})
    with unchanged(server):
        answer = mongo_sync(**fields)
    problem(answer, status, kind)
    silent_about(answer, mongo.password)


def test_a_wrong_password_is_told_and_kept_secret(
    mongo_sync: Sync, mongo: MongoServer, collection: Any, server: Server
) -> None:
    collection.insert_one({"name": "good.py", "source": "X = 2\n"})
    with unchanged(server):
        answer = mongo_sync(connection_string=mongo.uri("wrong-mongo-secret"))
    body = problem(answer, 502, "source-denied")
    assert body["source_code"] == "AuthenticationFailed"
    silent_about(answer, "wrong-mongo-secret")
    assert "wrong-mongo-secret" not in server.log()


def test_two_documents_of_one_name_are_both_named(mongo_sync: Sync, collection: Any, server: Server) -> None:
    collection.insert_many(
        [
            {"_id": "first", "name": "a.py", "source": "X = 1\n"},
            {"_id": "second", "name": "a", "source": "X = 2\n"},
            {"_id": "third", "name": "../b.py", "source": "X = 3\n"},
        ]
    )
    with unchanged(server):
        body = problem(mongo_sync(), 422, "source-files-invalid")
    (twice,) = [error["message"] for error in body["import_errors"] if error["file"] == "a.py"]
    assert "document first" in twice
    assert "document second" in twice
    assert any(error["file"] == "../b.py" for error in body["import_errors"])


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


def listing(sizes: Mapping[str, int], next_token: str = "") -> bytes:
    """What S3 answers to a listing, for what rclone can't be brought to."""
    rows = "".join(
        f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>e</ETag></Contents>"
        for key, size in sizes.items()
    )
    more = f"<NextContinuationToken>{next_token}</NextContinuationToken>" if next_token else ""
    truncated = f"<IsTruncated>{str(bool(next_token)).lower()}</IsTruncated>"
    return f"<ListBucketResult>{truncated}{more}{rows}</ListBucketResult>".encode()


@dataclass(frozen=True)
class Made:
    """A page of the file server that is made each time it is asked for."""

    make: Callable[[], bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return self.make()


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
