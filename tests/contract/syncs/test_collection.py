"""mongo_sync: the folder ends up as the collection is, or stays as it was."""

from __future__ import annotations

from typing import Any

import pytest
from real_servers import MongoServer

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.server import Server, unchanged
from contract.syncs.conftest import Sync


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
