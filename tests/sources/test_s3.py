"""S3: what a bucket holds is what is listed and read, and what can go wrong is told apart."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from local_servers import Answer, Serve, reply
from real_servers import S3Server

from xtended.problems import (
    BadRequest,
    EntryFailed,
    OutboundRefused,
    SourceDenied,
    SourceFailed,
    SourceMissing,
    TooLarge,
)
from xtended.sources.addresses import OutboundPolicy
from xtended.sources.base import Entry
from xtended.sources.s3 import Bucket, S3Keys, S3Source

LOOPBACK = OutboundPolicy(("127.0.0.1/32",))
Open = Callable[..., S3Source]


@pytest.fixture
def bucket(s3_server: S3Server, request: pytest.FixtureRequest) -> str:
    name = re.sub(r"\W|_", "-", request.node.name).lower()[:60].strip("-")
    (s3_server.folder / name).mkdir()
    return name


@pytest.fixture
def opened(s3_server: S3Server, bucket: str) -> Open:
    """A source of the test's bucket, with the right keys unless others are given."""

    def make(
        policy: OutboundPolicy = LOOPBACK, max_bytes: int = 1000, timeout: float = 5, **more: Any
    ) -> S3Source:
        of = {"name": bucket, "endpoint_url": s3_server.url, "keys": keys(s3_server), **more}
        return S3Source(Bucket(**of), policy=policy, timeout=timeout, max_bytes=max_bytes, concurrency=4)

    return make


def keys(server: S3Server, secret: str | None = None) -> S3Keys:
    return S3Keys(server.access_key, secret or server.secret_key)


def everything(source: S3Source) -> dict[str, bytes]:
    with source:
        return {entry.name: read(source, entry) for entry in source.entries()}


def read(source: S3Source, entry: Entry) -> bytes:
    with source.open(entry) as stream:
        return stream.read()


def test_every_object_is_listed_and_read(s3_server: S3Server, bucket: str, opened: Open) -> None:
    files = {"a.py": b"a = 1\n", "deep/er/b.py": b"", "ö dd+%2F&?.py": b"o = 1\n", "x.zip": b"\0\1"}
    s3_server.fill(bucket, files)
    assert everything(opened()) == files


def test_more_objects_than_a_page_has_are_listed(s3_server: S3Server, bucket: str, opened: Open) -> None:
    s3_server.fill(bucket, {f"{number:04}.py": b"x = 1\n" for number in range(1100)})
    with opened() as source:
        names = [entry.name for entry in source.entries()]
    assert sorted(names) == [f"{number:04}.py" for number in range(1100)]


def test_a_version_stays_until_the_object_changes(s3_server: S3Server, bucket: str, opened: Open) -> None:
    s3_server.fill(bucket, {"a.py": b"a = 1\n", "b.py": b"b = 1\n"})
    first = {entry.name: entry.version for entry in opened().entries()}
    s3_server.fill(bucket, {"a.py": b"a = 2\n"})
    second = {entry.name: entry.version for entry in opened().entries()}
    assert first["b.py"] == second["b.py"] is not None
    assert first["a.py"] != second["a.py"]


def test_a_prefix_chooses_and_is_stripped(s3_server: S3Server, bucket: str, opened: Open) -> None:
    s3_server.fill(bucket, {"dags/a.py": b"a = 1\n", "other/b.py": b"b = 1\n"})
    assert everything(opened(prefix="dags/", strip_prefix="dags/")) == {"a.py": b"a = 1\n"}


def test_named_objects_are_the_only_ones(s3_server: S3Server, bucket: str, opened: Open) -> None:
    s3_server.fill(bucket, {"a.py": b"a = 1\n", "b.py": b"b = 1\n", "c.py": b"c = 1\n"})
    assert everything(opened(objects=["c.py", "a.py", "a.py"])) == {"a.py": b"a = 1\n", "c.py": b"c = 1\n"}


def listing(*objects: tuple[str, int]) -> Answer:
    """What S3 answers to a listing, for what rclone can't be brought to."""
    rows = "".join(
        f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;e&quot;</ETag></Contents>"
        for key, size in objects
    )
    return reply(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode())


def test_a_folders_marker_is_no_file(serve: Serve, opened: Open) -> None:
    server = serve(listing(("folder/", 0), ("folder/a.py", 3)))
    with opened(endpoint_url=server.url("")) as source:
        assert [entry.name for entry in source.entries()] == ["folder/a.py"]


def test_an_object_that_is_missing_is_its_own_failure(opened: Open) -> None:
    with opened(objects=["gone.py"]) as source:
        (entry,) = source.entries()
        with pytest.raises(EntryFailed) as caught:
            source.open(entry)
    assert caught.value.extra["source_code"] == "NoSuchKey"


def test_an_object_that_goes_between_list_and_get_is_its_own_failure(
    s3_server: S3Server, bucket: str, opened: Open
) -> None:
    s3_server.fill(bucket, {"a.py": b"a = 1\n"})
    with opened() as source:
        (entry,) = source.entries()
        (s3_server.folder / bucket / "a.py").unlink()
        with pytest.raises(EntryFailed):
            source.open(entry)


def test_an_object_that_is_too_large_is_not_read(s3_server: S3Server, bucket: str, opened: Open) -> None:
    s3_server.fill(bucket, {"a.py": b"#" * 1001})
    with opened() as source:
        (entry,) = source.entries()
        with pytest.raises(TooLarge):
            source.open(entry)


def test_a_wrong_secret_a_wrong_key_and_a_missing_bucket_are_told_apart(
    s3_server: S3Server, opened: Open
) -> None:
    for more, kind, code in (
        ({"keys": keys(s3_server, "wrong/secret")}, SourceDenied, "SignatureDoesNotMatch"),
        ({"keys": S3Keys("NOBODY", "wrong/secret")}, SourceDenied, "InvalidAccessKeyId"),
        ({"name": "no-such-bucket"}, SourceMissing, "NoSuchBucket"),
    ):
        with opened(**more) as source, pytest.raises(kind) as caught:
            list(source.entries())
        assert caught.value.extra["source_code"] == code
        told = f"{caught.value.detail} {caught.value.extra} {source!r} {more!r}"
        assert "wrong/secret" not in told
        assert s3_server.secret_key not in told


def test_a_private_address_is_refused(opened: Open) -> None:
    with opened(policy=OutboundPolicy()) as source, pytest.raises(OutboundRefused):
        list(source.entries())


def test_a_server_that_is_down_is_a_failed_source(opened: Open) -> None:
    with opened(endpoint_url="http://127.0.0.1:1") as source, pytest.raises(SourceFailed):
        list(source.entries())


@pytest.mark.parametrize(
    "more",
    [
        {"endpoint_url": "ftp://127.0.0.1"},
        {"endpoint_url": "http://user:secret@127.0.0.1"},
        {"endpoint_url": "http://127.0.0.1:none"},
        {"endpoint_url": "/etc/passwd"},
        {"region": "no region!"},
    ],
)
def test_what_can_be_no_endpoint_or_region_is_refused(opened: Open, more: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        opened(**more)


def test_a_server_that_drips_bytes_is_cut_off(serve: Serve, opened: Open) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        for number in range(1000):
            request.wfile.write(b"<")
            request.wfile.flush()
            sent.append(number)
            time.sleep(0.05)

    sent: list[int] = []
    server = serve(drip)
    with opened(endpoint_url=server.url(""), timeout=0.5) as source, pytest.raises(SourceFailed):
        list(source.entries())
    assert len(server.seen) == 1
    assert len(sent) < 1000


def test_throttling_is_waited_for(serve: Serve, opened: Open) -> None:
    slow_down = b"<Error><Code>SlowDown</Code><Message>wait</Message></Error>"
    answers = [reply(503, slow_down), listing(("a.py", 3))]

    server = serve(lambda request: answers.pop(0)(request))
    with opened(endpoint_url=server.url("")) as source:
        assert [entry.name for entry in source.entries()] == ["a.py"]


def test_what_does_not_speak_s3_is_a_failed_source(serve: Serve, opened: Open) -> None:
    server = serve(reply(200, b"<html>Welcome</html>"))
    with opened(endpoint_url=server.url("")) as source, pytest.raises(SourceFailed):
        list(source.entries())


def test_the_keys_of_one_source_are_not_those_of_the_next(
    s3_server: S3Server, bucket: str, opened: Open
) -> None:
    s3_server.fill(bucket, {"a.py": b"a = 1\n"})
    assert everything(opened())
    with opened(keys=keys(s3_server, "wrong/secret")) as source, pytest.raises(SourceDenied):
        list(source.entries())
