"""The documents of a MongoDB collection as DAG files: one field is the name, another the source."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from bson import json_util
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    InvalidName,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.synchronous.pool import Connection, Pool

from xtended.problems import BadRequest, Problem, SourceDenied, SourceFailed, SourceMissing
from xtended.sources.addresses import OutboundPolicy, resolve
from xtended.sources.base import Entry
from xtended.sources.mongo_checks import check_field, read_connection_string, read_filter

_SUFFIXES = (".py", ".pyc", ".zip")
_SELECTION_SECONDS = 10.0
"""Longer than an election of a new primary takes at most times, shorter than people wait for a misspelt host."""

_DENIED = frozenset({13, 18, 8000})  # Unauthorized, AuthenticationFailed, and Atlas's own code
_BAD_QUERY = frozenset({2, 9, 14})  # BadValue, FailedToParse, TypeMismatch
_QUOTED_CHARACTERS = 100
_MISSING = object()


@dataclass(frozen=True)
class Documents:
    """Which documents of which collection. Field names may be dotted; `query_filter` is Extended JSON."""

    connection_string: str = field(repr=False)
    database: str
    collection: str
    field_filename: str
    field_source: str
    query_filter: str | None = None


class MongoSource:
    """A context manager, as it holds connections. `timeout` is in seconds, for each answer of the server.

    Raises BadRequest where the arguments can't be what they should be, OutboundRefused, and SourceFailed where
    a host can't be looked up.
    """

    def __init__(
        self, documents: Documents, *, policy: OutboundPolicy, timeout: float, max_bytes: int
    ) -> None:
        self._documents = documents
        self._max_bytes = max_bytes
        check_field(documents.field_filename, "field_filename")
        check_field(documents.field_source, "field_dag_source")
        self._filter = read_filter(documents.query_filter)
        for host, port in read_connection_string(documents.connection_string, timeout):
            resolve(host, port, policy=policy, within=timeout)
        self._refusals: list[Problem] = []
        milliseconds = int(timeout * 1000)
        try:
            self._client: MongoClient[dict[str, Any]] = MongoClient(
                documents.connection_string.strip(),
                connect=False,
                appname="airflow-xtended",
                # Of an answer as a whole, so that a server that drips bytes gets no further than one that is silent.
                timeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
                serverSelectionTimeoutMS=int(min(timeout, _SELECTION_SECONDS) * 1000),
                maxPoolSize=1,
                _pool_class=_guarded_pool(policy, timeout, self._refusals),
            )
            self._collection: Collection[dict[str, Any]] = self._client[documents.database][
                documents.collection
            ]
        except InvalidName:
            raise BadRequest("db_name or collection_name can't be the name of one.") from None
        except (PyMongoError, ValueError, TypeError):
            raise BadRequest("connection_string has options that can't be used.") from None

    def __enter__(self) -> MongoSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def entries(self) -> Iterator[Entry]:
        """The documents, each with its content; its version is the hash of that."""
        documents = self._documents
        wanted = dict.fromkeys([documents.field_filename, documents.field_source], 1)
        empty = True
        with self._asking():
            for document in self._collection.find(self._filter, wanted):
                empty = False
                yield self._entry(document)
            if empty and not self._exists():
                raise SourceMissing(
                    f"There is no collection {documents.collection!r} in the database {documents.database!r}."
                )

    def open(self, entry: Entry) -> AbstractContextManager[BinaryIO]:
        return io.BytesIO(entry.content or b"")

    def _entry(self, document: Mapping[str, Any]) -> Entry:
        identity = _shown(document.get("_id"))
        origin = f"document {identity}"
        name = _value(document, self._documents.field_filename)
        source = _value(document, self._documents.field_source)
        if not isinstance(name, str) or not name:
            reason = f"has no text in {self._documents.field_filename!r}"
            return Entry(origin, origin=origin, problem=f"The {origin} {reason}, for a file name.")
        # DAGs were called without their suffix in many a collection that the older API was used with.
        name = name if name.endswith(_SUFFIXES) else f"{name}.py"
        content = _bytes(source)
        if content is None:
            reason = f"has no text in {self._documents.field_source!r}"
            return Entry(name, origin=origin, problem=f"The {origin} {reason}, for the file's content.")
        if len(content) > self._max_bytes:
            reason = f"is a file of {len(content)} bytes; at most {self._max_bytes} are taken"
            return Entry(name, origin=origin, problem=f"The {origin} {reason}.")
        version = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Entry(name, version=version, size=len(content), origin=origin, content=content)

    def _exists(self) -> bool:
        name = self._documents.collection
        try:
            database = self._client[self._documents.database]
            return name in database.list_collection_names(filter={"name": name}, authorizedCollections=True)
        except OperationFailure:
            # Someone who may read a collection need not have the right to list them.
            return True

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turns what can go wrong into problems. Of what the server says its code alone is passed on."""
        try:
            yield
        except OperationFailure as error:
            code = (error.details or {}).get("codeName") or error.code
            told: dict[str, Any] = {"source_code": str(code)[:64]} if code is not None else {}
            if error.code in _DENIED:
                raise SourceDenied(
                    f"MongoDB refuses the credentials, or they lack the right: {code}.", **told
                ) from None
            if error.code in _BAD_QUERY:
                raise BadRequest(f"MongoDB does not take the query_filter: {code}.", **told) from None
            raise SourceFailed(f"MongoDB answers {code}.", **told) from None
        except ConfigurationError:
            raise SourceFailed("MongoDB and connection_string do not fit together.") from None
        except (NetworkTimeout, ServerSelectionTimeoutError, ConnectionFailure) as error:
            if self._refusals:
                raise self._refusals[0] from None
            late = isinstance(error, NetworkTimeout)
            raise SourceFailed(
                "MongoDB did not answer in time." if late else "MongoDB can't be reached.",
                source_code=type(error).__name__,
            ) from None
        except (PyMongoError, BSONError, OSError) as error:
            raise SourceFailed(
                "MongoDB could not be read: the connection broke, or the server does not speak its protocol.",
                source_code=type(error).__name__,
            ) from None


def _guarded_pool(policy: OutboundPolicy, timeout: float, refusals: list[Problem]) -> type[Pool]:
    """pymongo's pool, which looks at each address before it connects: also at those that other members name."""

    class GuardedPool(Pool):
        def connect(self, handler: Any = None) -> Connection:
            host, port = self.address
            try:
                resolve(host, port or 0, policy=policy, within=timeout)
            except Problem as problem:
                refusals.append(problem)
                raise ConnectionFailure(problem.detail) from None
            return super().connect(handler)

    return GuardedPool


def _value(document: Mapping[str, Any], dotted: str) -> Any:
    found: Any = document
    for part in dotted.split("."):
        found = found.get(part, _MISSING) if isinstance(found, Mapping) else _MISSING
    return found


def _bytes(source: Any) -> bytes | None:
    if isinstance(source, bytes):
        return source
    try:
        return source.encode() if isinstance(source, str) else None
    except UnicodeEncodeError:
        return None


def _shown(identity: Any) -> str:
    """A document's `_id` as people know it."""
    try:
        text = str(identity) if not isinstance(identity, dict | bytes) else json_util.dumps(identity)
    except (TypeError, ValueError):
        text = type(identity).__name__
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}..."
