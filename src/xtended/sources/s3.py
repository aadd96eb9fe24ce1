"""The objects of an S3 bucket as DAG files; any server that speaks S3 will do."""

from __future__ import annotations

import functools
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.loaders import Loader
from urllib3.exceptions import HTTPError

from xtended.problems import (
    BadRequest,
    EntryFailed,
    Problem,
    SourceDenied,
    SourceFailed,
    SourceMissing,
    TooLarge,
)
from xtended.sources.addresses import OutboundPolicy
from xtended.sources.base import Entry
from xtended.sources.s3_transport import Transport

_ATTEMPTS = 4
"""Requests sent for one answer, where the server is throttling or fails; boto3 waits longer each time."""

_CHUNK_BYTES = 256 * 1024
_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_OBJECT = frozenset({"NoSuchKey", "NotFound", "404"})
_UNREADABLE_OBJECT = frozenset({"InvalidObjectState", "PreconditionFailed"})
_NO_BUCKET = frozenset({"NoSuchBucket"})


@dataclass(frozen=True)
class S3Keys:
    """What requests are signed with."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Bucket:
    """Where the objects are. `keys` None: whatever role the web server has.

    `prefix` and `objects` (keys; empty: all) choose among them; `strip_prefix` is no part of the file names.
    """

    name: str
    region: str | None = None
    endpoint_url: str | None = None
    keys: S3Keys | None = None
    prefix: str = ""
    objects: Sequence[str] = ()
    strip_prefix: str = ""


class S3Source:
    """A context manager, as it holds connections. `timeout` is in seconds, for each request.

    Raises BadRequest where the bucket, region or endpoint can't be one.
    """

    def __init__(
        self, bucket: Bucket, *, policy: OutboundPolicy, timeout: float, max_bytes: int, concurrency: int
    ) -> None:
        self._bucket = bucket
        self._max_bytes = max_bytes
        self._concurrency = concurrency
        self._transport = Transport(policy, timeout)
        self._client = _client(bucket, timeout)
        self._client.meta.events.register("before-send.s3", self._transport.send)

    def __enter__(self) -> S3Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()
        self._client.close()

    def entries(self) -> Iterator[Entry]:
        """The chosen objects, but for the empty ones that stand for folders. Versions are made of ETag and size."""
        if not self._bucket.objects:
            yield from self._listed()
            return
        chosen = dict.fromkeys(key for key in self._bucket.objects if key.startswith(self._bucket.prefix))
        with ThreadPoolExecutor(self._concurrency) as threads:
            yield from threads.map(self._looked_up, chosen)

    def open(self, entry: Entry) -> AbstractContextManager[BinaryIO]:
        with self._asking(entry.origin) as check_passed:
            answer = self._client.get_object(Bucket=self._bucket.name, Key=entry.origin)
            with closing(answer["Body"]) as body:
                content = self._read(body, answer.get("ContentLength"), entry.origin)
            # A cut connection can look like the end of a body.
            check_passed()
        return io.BytesIO(content)

    def _listed(self) -> Iterator[Entry]:
        token = None
        while True:
            with self._asking(None) as check_passed:
                page = self._client.list_objects_v2(
                    Bucket=self._bucket.name,
                    Prefix=self._bucket.prefix,
                    **({"ContinuationToken": token} if token else {}),
                )
                check_passed()
            if "IsTruncated" not in page:
                # Any XML or HTML is an empty listing to boto3.
                raise SourceFailed("The server does not speak S3: what it answers is no listing.")
            for found in page.get("Contents", ()):
                if not (found["Key"].endswith("/") and found["Size"] == 0):
                    yield self._entry(found["Key"], found.get("ETag"), found["Size"])
            last, token = token, page.get("NextContinuationToken")
            if not page.get("IsTruncated") or not token:
                return
            if token == last:
                raise SourceFailed("S3 lists the same objects again and again.")

    def _looked_up(self, key: str) -> Entry:
        try:
            with self._asking(key) as check_passed:
                found = self._client.head_object(Bucket=self._bucket.name, Key=key)
                check_passed()
        except EntryFailed:
            # An answer without a body does not say whether it is the bucket that is missing: `open` will know.
            return self._entry(key, None, None)
        return self._entry(key, found.get("ETag"), found.get("ContentLength"))

    def _entry(self, key: str, etag: str | None, size: int | None) -> Entry:
        name = key.removeprefix(self._bucket.strip_prefix)
        version = None
        if etag:
            seen = "\n".join([self._client.meta.endpoint_url, self._bucket.name, key, etag, str(size)])
            version = hashlib.blake2b(seen.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return Entry(name, version=version, size=size, origin=key)

    def _read(self, body: Any, declared: int | None, key: str) -> bytes:
        too_large = TooLarge(
            f"The object {key!r} has more than {self._max_bytes} bytes.", limit=self._max_bytes
        )
        if declared is not None and declared > self._max_bytes:
            raise too_large
        content = bytearray()
        while chunk := body.read(_CHUNK_BYTES):
            content += chunk
            if len(content) > self._max_bytes:
                raise too_large
        return bytes(content)

    @contextmanager
    def _asking(self, key: str | None) -> Iterator[Callable[[], None]]:
        """Turns what can go wrong into problems, for the object `key` or for the bucket.

        What it gives raises SourceFailed where the time is up.
        """
        with self._transport.limited() as deadline:

            def check_passed() -> None:
                if deadline.passed:
                    raise deadline.missed()

            try:
                yield check_passed
            except Problem:
                raise
            except ClientError as error:
                raise _answered(error, self._bucket.name, key) from None
            except ParamValidationError:
                raise BadRequest(
                    "s3_bucket_name or s3_object_keys can't be the name of a bucket or an object."
                ) from None
            except (NoCredentialsError, PartialCredentialsError):
                raise SourceDenied(
                    "The web server has no AWS credentials of its own: send s3_access_key and s3_secret_key, "
                    "or conn_id."
                ) from None
            except (BotoCoreError, HTTPError, OSError, ValueError) as error:
                check_passed()
                # The library's own message can hold the URL and the headers that were sent.
                raise SourceFailed(
                    "S3 could not be asked: the connection broke, or the server does not speak S3.",
                    source_code=type(error).__name__,
                ) from None


def _answered(error: ClientError, bucket: str, key: str | None) -> SourceFailed:
    """The problem that an error answer of the server is. Of its text the code alone is passed on."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    told: dict[str, Any] = {"source_status": status}
    if _CODE.fullmatch(code):
        told["source_code"] = code
    said = f"{code} (status {status})" if "source_code" in told else f"status {status}"
    if code in _NO_BUCKET or (key is None and status == 404):
        return SourceMissing(f"There is no bucket {bucket!r}: S3 answers {said}.", **told)
    if key is not None and (code in _NO_OBJECT or code in _UNREADABLE_OBJECT or status == 404):
        return EntryFailed(f"The object {key!r} can't be had: S3 answers {said}.", **told)
    if status in (401, 403):
        return SourceDenied(f"S3 refuses the credentials, or they lack the right: {said}.", **told)
    return SourceFailed(f"S3 answers {said}.", **told)


@functools.cache
def _loader() -> Loader:
    """What describes the services of AWS: the same for everybody, and 0.1 s to read."""
    found: Loader = botocore.session.Session().get_component("data_loader")
    return found


def _client(bucket: Bucket, timeout: float) -> Any:
    if bucket.endpoint_url is not None:
        _check_endpoint(bucket.endpoint_url)
    core = botocore.session.Session()
    core.register_component("data_loader", _loader())
    # The times of objects are not looked at, and reading them is most of the work of reading a listing.
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    credentials: dict[str, str | None] = {}
    if bucket.keys is not None:
        credentials = {
            "aws_access_key_id": bucket.keys.access_key,
            "aws_secret_access_key": bucket.keys.secret_key,
            "aws_session_token": bucket.keys.session_token,
        }
    config = Config(
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        # Servers other than AWS rarely have a host name for each bucket.
        s3={"addressing_style": "path" if bucket.endpoint_url else "auto"},
        user_agent_extra="airflow-xtended",
        ignore_configured_endpoint_urls=True,
    )
    try:
        return boto3.session.Session(botocore_session=core).client(
            "s3",
            region_name=bucket.region or core.get_config_variable("region") or "us-east-1",
            endpoint_url=bucket.endpoint_url,
            config=config,
            **credentials,
        )
    except (BotoCoreError, ValueError):
        raise BadRequest("s3_region or s3_endpoint_url is not one that S3 can be asked at.") from None


def _check_endpoint(url: str) -> None:
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        port_fits = False
    if not port_fits or parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise BadRequest("s3_endpoint_url must be an http or https URL of a host, without credentials.")
