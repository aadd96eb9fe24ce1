"""MongoDB: each document is the file that two of its fields say, and what can go wrong is told apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from real_servers import MongoServer

from xtended.problems import BadRequest, OutboundRefused, SourceDenied, SourceFailed, SourceMissing
from xtended.sources.addresses import OutboundPolicy
from xtended.sources.base import Entry
from xtended.sources.mongo import Documents, MongoSource

LOOPBACK = OutboundPolicy(("127.0.0.1/32",))
Open = Callable[..., MongoSource]


@pytest.fixture
def collection(mongo_server: MongoServer, request: pytest.FixtureRequest) -> Any:
    with mongo_server.client() as client:
        yield client["dags"][re.sub(r"\W", "_", request.node.name)[:100]]


@pytest.fixture
def opened(mongo_server: MongoServer, collection: Any) -> Open:
    """A source of the test's collection, with the right password unless another is given."""

    def make(policy: OutboundPolicy = LOOPBACK, timeout: float = 2, **more: Any) -> MongoSource:
        of = {
            "connection_string": mongo_server.uri(),
            "database": "dags",
            "collection": collection.name,
            "field_filename": "name",
            "field_source": "source",
            **more,
        }
        return MongoSource(Documents(**of), policy=policy, timeout=timeout, max_bytes=1000)

    return make


def entries(source: MongoSource) -> list[Entry]:
    with source:
        return list(source.entries())


def everything(source: MongoSource) -> dict[str, bytes]:
    with source:
        return {entry.name: source.open(entry).__enter__().read() for entry in source.entries()}


def test_each_document_is_a_file(collection: Any, opened: Open) -> None:
    collection.insert_many(
        [
            {"name": "a.py", "source": "a = 'ö'\n"},
            {"name": "no_suffix", "source": ""},
            {"name": "deep/b.zip", "source": b"\0\1"},
        ]
    )
    assert everything(opened()) == {
        "a.py": "a = 'ö'\n".encode(),
        "no_suffix.py": b"",
        "deep/b.zip": b"\0\1",
    }


def test_dotted_fields_lead_into_documents(collection: Any, opened: Open) -> None:
    collection.insert_one({"meta": {"file": {"name": "a.py"}}, "code": {"text": "a = 1\n"}})
    found = everything(opened(field_filename="meta.file.name", field_source="code.text"))
    assert found == {"a.py": b"a = 1\n"}


def test_a_filter_in_extended_json_chooses(collection: Any, opened: Open) -> None:
    collection.insert_many([{"name": f"{n}.py", "source": "", "n": n} for n in range(3)])
    text = '{"n": {"$gte": {"$numberLong": "1"}}, "name": {"$ne": "2.py"}}'
    assert [entry.name for entry in entries(opened(query_filter=text))] == ["1.py"]


@pytest.mark.parametrize(
    "text",
    [
        '{"$where": "sleep(1000)"}',
        '{"$or": [{"a": 1}, {"$expr": {"$function": {"body": "x", "args": [], "lang": "js"}}}]}',
        '{"a": {"$code": "while (1) {}"}}',
        '{"a": {"$accumulator": {}}}',
        "[1]",
        "{",
        '{"$noSuchOperator": 1}',
        '{"a": ' * 5000 + "1" + "}" * 5000,
    ],
)
def test_a_filter_that_runs_code_or_is_none_is_refused(opened: Open, text: str) -> None:
    with pytest.raises(BadRequest):
        entries(opened(query_filter=text))


def test_a_version_is_the_contents_hash(collection: Any, opened: Open) -> None:
    collection.insert_one({"name": "a.py", "source": "a = 1\n", "read": 1})
    (first,) = entries(opened())
    collection.update_one({}, {"$set": {"read": 2}})
    assert entries(opened()) == [first]
    collection.update_one({}, {"$set": {"source": "a = 2\n"}})
    assert entries(opened()) != [first]


def test_a_document_that_is_no_file_says_why(collection: Any, opened: Open) -> None:
    collection.insert_many(
        [
            {"_id": "nameless", "source": ""},
            {"_id": "numbered", "name": 7, "source": ""},
            {"_id": "empty", "name": "a.py"},
            {"_id": "large", "name": "b.py", "source": "#" * 1001},
        ]
    )
    for entry, identity in zip(entries(opened()), ["nameless", "numbered", "empty", "large"], strict=True):
        assert entry.problem is not None
        assert f"document {identity}" in entry.problem


def test_a_wrong_password_and_a_missing_collection_are_told_apart(
    mongo_server: MongoServer, opened: Open
) -> None:
    source = opened(connection_string=mongo_server.uri("wrong secret"))
    with pytest.raises(SourceDenied) as caught:
        entries(source)
    assert caught.value.extra["source_code"] == "AuthenticationFailed"
    assert "secret" not in f"{caught.value.detail}{caught.value.extra}{source._documents!r}"
    with pytest.raises(SourceMissing):
        entries(opened(collection="no_such_collection"))


def test_a_filter_that_leaves_nothing_is_no_missing_collection(collection: Any, opened: Open) -> None:
    collection.insert_one({"name": "a.py", "source": ""})
    assert entries(opened(query_filter='{"name": "b.py"}')) == []


def test_a_server_that_is_down_is_a_failed_source(opened: Open) -> None:
    with pytest.raises(SourceFailed):
        entries(opened(connection_string="mongodb://127.0.0.1:1/", timeout=0.3))


def test_a_private_address_is_refused(opened: Open) -> None:
    with pytest.raises(OutboundRefused):
        opened(policy=OutboundPolicy())


def test_a_host_that_a_server_names_is_looked_at_too(mongo_server: MongoServer, opened: Open) -> None:
    # The name is allowed when the connection string is read, and what it leads to is not when it is dialled.
    class Changing(OutboundPolicy):
        asked = 0

        def check(self, host: str, addresses: Any) -> None:
            Changing.asked += 1
            if Changing.asked > 1:
                super().check(host, addresses)

    with pytest.raises(OutboundRefused):
        entries(opened(policy=Changing(), timeout=0.3))


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1/",
        "mongodb://user:p@ss@127.0.0.1/",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock/",
        "mongodb://127.0.0.1/?tls=true&tlsCAFile=/etc/passwd",
        "mongodb://127.0.0.1/?tls=true&tlsCertificateKeyFile=/etc/passwd",
        "mongodb://127.0.0.1/?authMechanism=MONGODB-AWS",
        "mongodb://127.0.0.1/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:k8s",
        "mongodb://127.0.0.1/?noSuchOption=1",
        "mongodb://127.0.0.1:port/",
        "mongodb://",
    ],
)
def test_a_connection_string_that_reaches_into_the_server_is_refused(opened: Open, text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        opened(connection_string=text)
    assert "p@ss" not in caught.value.detail


@pytest.mark.parametrize("name", ["", "$where", "a..b", "a.$b", "a\0b"])
def test_what_can_be_no_field_is_refused(opened: Open, name: str) -> None:
    with pytest.raises(BadRequest):
        opened(field_source=name)
