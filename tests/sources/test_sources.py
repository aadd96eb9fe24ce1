"""Every source lists named, versioned entries and opens their bytes."""

from __future__ import annotations

import hashlib
import io
import tempfile

import pytest
from local_servers import reply

from xtended.problems import BadRequest, ChecksumMismatch, TooLarge
from xtended.sources.base import Entry
from xtended.sources.outbound import OutboundPolicy
from xtended.sources.upload import UploadSource
from xtended.sources.url import UrlSource

CODE = b"from airflow.sdk import DAG\n"
DIGEST = hashlib.sha256(CODE).hexdigest()


def read(source):
    contents = {}
    for entry in source.entries():
        with source.open(entry) as stream:
            contents[entry.name] = stream.read()
    return contents


@pytest.fixture
def url_source(serve):
    server = serve(reply(body=CODE))

    def make(**options):
        options = {"policy": OutboundPolicy(("127.0.0.1",)), "timeout": 10, "max_bytes": 1000, **options}
        return UrlSource("dag.py", server.url(userinfo="root:hunter2@"), **options), server

    return make


def test_an_upload_is_listed_with_its_size_and_hash():
    source = UploadSource({"a/dag.py": io.BytesIO(CODE)}, max_bytes=1000)
    assert list(source.entries()) == [Entry("a/dag.py", f"sha256:{DIGEST}", len(CODE))]


def test_an_upload_is_read_from_its_start_however_often():
    with tempfile.SpooledTemporaryFile(max_size=4) as stream:
        stream.write(CODE)
        source = UploadSource({"dag.py": stream, "b.py": io.BytesIO(b"b")}, max_bytes=1000)
        assert read(source) == read(source) == {"dag.py": CODE, "b.py": b"b"}


def test_an_upload_above_the_cap_is_not_taken():
    source = UploadSource({"dag.py": io.BytesIO(b"x" * 11)}, max_bytes=10)
    with pytest.raises(TooLarge, match=r"'dag\.py' has 11 bytes"):
        list(source.entries())


def test_code_in_a_form_field_is_stored_as_utf8():
    source = UploadSource.of_text("dag.py", "# é\n", max_bytes=1000)
    assert read(source) == {"dag.py": "# é\n".encode()}


def test_code_that_has_no_bytes_is_a_bad_request():
    with pytest.raises(BadRequest):
        UploadSource.of_text("dag.py", "\ud800", max_bytes=1000)


def test_a_url_is_one_entry_that_is_fetched_when_opened(url_source):
    source, server = url_source()
    assert list(source.entries()) == [Entry("dag.py")]
    assert server.seen == []
    assert read(source) == {"dag.py": CODE}


def test_a_url_with_the_right_checksum_is_taken_and_versioned(url_source):
    source, _ = url_source(sha256=f" {DIGEST.upper()} ")
    assert list(source.entries()) == [Entry("dag.py", f"sha256:{DIGEST}")]
    assert read(source) == {"dag.py": CODE}


def test_a_url_with_other_bytes_is_refused(url_source):
    source, _ = url_source(sha256="0" * 64)
    with pytest.raises(ChecksumMismatch) as refused:
        read(source)
    assert refused.value.extra == {"expected": "0" * 64, "found": DIGEST}


@pytest.mark.parametrize("sha256", ["abc", "g" * 64, DIGEST + "0"])
def test_a_checksum_that_is_none_is_a_bad_request(url_source, sha256):
    with pytest.raises(BadRequest):
        url_source(sha256=sha256)


def test_a_source_shows_no_credentials(url_source):
    source, _ = url_source()
    assert "hunter2" not in repr(source) + str(source)
