"""s3_sync: the folder ends up as the bucket is."""

from __future__ import annotations

import json
import os

from real_servers import S3Server

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.server import Server, unchanged
from contract.syncs.conftest import Sync, form


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
