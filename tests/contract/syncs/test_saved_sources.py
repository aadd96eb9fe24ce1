"""Sources that are kept under a name: synced from without secrets in the request, which nothing shows again."""

from __future__ import annotations

import json

import pytest
from real_servers import S3Server

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.server import Server, unchanged
from contract.syncs.conftest import form


@pytest.fixture
def fields(s3: S3Server, name: str) -> dict[str, str]:
    """A source of a bucket with one DAG."""
    s3.fill("dags", {f"{name}/{name}.py": dag_files.dag(name)})
    return {
        "name": name,
        "kind": "s3",
        "s3_bucket_name": "dags",
        "s3_region": "us-east-1",
        "s3_access_key": s3.access_key,
        "s3_secret_key": s3.secret_key,
        "s3_endpoint_url": s3.url,
        "s3_object_prefix": f"{name}/",
        "strip_prefix": f"{name}/",
        "otf_sync": "y",
    }


def test_a_kept_source_is_synced_from_by_name(
    empty_folder: Server, s3: S3Server, fields: dict[str, str], name: str
) -> None:
    server = empty_folder
    answers = [
        server.admin.post("/sync_sources", files=form(fields)),
        server.admin.get("/sync_sources"),
        server.admin.get(f"/sync_sources/{name}"),
        server.admin.post(f"/sync_sources/{name}/sync", params={"dry_run": "y"}),
        server.admin.post(f"/sync_sources/{name}/sync"),
    ]
    for answer in answers:
        success(answer)
        silent_about(answer, s3.secret_key)
    shown = answers[2].json()["sync_source"]
    assert shown["fields"]["s3_secret_key"] == "***"
    assert shown["fields"]["s3_object_prefix"] == f"{name}/"
    assert shown in answers[1].json()["sync_sources"]
    assert answers[3].json()["files"]["added"] == [f"{name}.py"]
    assert answers[4].json()["sync_status"] == {"synced": [f"{name}.py"], "failed": []}
    assert set(server.files()) == {f"{name}.py"}
    server.airflow.trigger(name)
    rows = server.database()["connection"]
    (row,) = [row for row in rows if row["conn_id"] == f"xtended_sync_{name}"]
    assert s3.secret_key not in json.dumps(row, default=str), "it is encrypted"
    assert s3.secret_key not in server.log()
    assert s3.secret_key not in json.dumps([line.extra for line in server.airflow.audit()])


def test_an_update_sets_what_is_sent_and_keeps_the_rest(
    empty_folder: Server, fields: dict[str, str], name: str
) -> None:
    success(empty_folder.admin.post("/sync_sources", files=form({**fields, "s3_secret_key": "wrong"})))
    problem(empty_folder.admin.post(f"/sync_sources/{name}/sync"), 502, "source-denied")
    right = {"s3_secret_key": fields["s3_secret_key"], "strip_prefix": ""}
    updated = success(empty_folder.admin.patch(f"/sync_sources/{name}", files=form(right)))
    assert "strip_prefix" not in updated["sync_source"]["fields"]
    assert updated["sync_source"]["fields"]["s3_region"] == "us-east-1"
    success(empty_folder.admin.post(f"/sync_sources/{name}/sync"))
    assert set(empty_folder.files()) == {f"{name}/{name}.py"}


def test_a_source_that_is_deleted_is_gone(server: Server, fields: dict[str, str], name: str) -> None:
    success(server.admin.post("/sync_sources", files=form(fields)))
    success(server.admin.delete(f"/sync_sources/{name}"))
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/sync")):
        problem(server.admin.request(method, f"/sync_sources/{name}{path}"), 404, "not-found")
    assert not [row for row in server.database()["connection"] if row["conn_id"] == f"xtended_sync_{name}"]


@pytest.mark.parametrize(
    ("wrong", "status", "kind"),
    [
        ({"name": "../x"}, 400, "bad-request"),
        ({"kind": "ftp"}, 400, "bad-request"),
        ({"db_name": "x"}, 400, "bad-request"),
        ({"s3_bucket_name": ""}, 400, "bad-request"),
        ({"s3_secret_key": ""}, 400, "bad-request"),
        ({"s3_endpoint_url": "ftp://x"}, 400, "bad-request"),
        ({"conn_id": "x"}, 400, "bad-request"),
    ],
)
def test_what_can_be_no_source_is_not_kept(
    server: Server, fields: dict[str, str], wrong: dict[str, str], status: int, kind: str
) -> None:
    with unchanged(server):
        problem(server.admin.post("/sync_sources", files=form({**fields, **wrong})), status, kind)


def test_a_name_is_taken_once(server: Server, fields: dict[str, str]) -> None:
    success(server.admin.post("/sync_sources", files=form(fields)))
    with unchanged(server):
        problem(server.admin.post("/sync_sources", files=form(fields)), 409, "conflict")


def test_who_may_not_make_connections_keeps_no_source(server: Server, fields: dict[str, str]) -> None:
    problem(server.client("user").post("/sync_sources", files=form(fields)), 403, "forbidden")
    assert not [
        row for row in server.database()["connection"] if row["conn_id"] == f"xtended_sync_{fields['name']}"
    ]
