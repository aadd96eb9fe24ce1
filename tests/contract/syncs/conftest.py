"""Real servers to sync from, and the requests that sync from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import httpx
import pytest
import real_servers
from real_servers import MongoServer, S3Server

from contract.server import Server


class Sync(Protocol):
    """A sync of the test's own source; None leaves a field out."""

    def __call__(self, headers: dict[str, str] | None = None, **more: str | None) -> httpx.Response: ...


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
    """s3_sync of the test's bucket, with the right keys unless others are given."""

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
    def send(headers: dict[str, str] | None = None, **more: str | None) -> httpx.Response:
        fields = {
            "connection_string": mongo.uri(),
            "db_name": "dags",
            "collection_name": collection.name,
            "field_filename": "name",
            "field_dag_source": "source",
            **more,
        }
        return empty_folder.admin.post("/mongo_sync", files=form(fields), headers=headers)

    return send


def form(fields: Mapping[str, str | None]) -> dict[str, tuple[None, str]]:
    return {name: (None, value) for name, value in fields.items() if value is not None}
