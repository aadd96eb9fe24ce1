"""What every answer must look like."""

from __future__ import annotations

import re
from typing import Any

import httpx

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:airflow-xtended:problem:"
# An absolute path of a server, as opposed to one that was sent or to the path of a URL.
_SERVER_PATH = re.compile(r"(?<![\w/.:])/(?:tmp|home|root|usr|opt|var|work|etc|proc|private|Users)/[\w.-]+")
_TRACEBACK = re.compile(r'Traceback|File "|, line \d+, in ')


def success(answer: httpx.Response) -> Any:
    """The body of an answer that says that it worked."""
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["status"] == "success"
    assert isinstance(body["message"], str)
    assert not _SERVER_PATH.search(answer.text), answer.text
    return body


def problem(answer: httpx.Response, status: int, kind: str) -> Any:
    """The body of an error: RFC 9457, of this kind, and silent about the server's insides."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == MEDIA_TYPE
    body = answer.json()
    assert body["type"] == TYPE_PREFIX + kind, body
    assert body["status"] == status
    assert isinstance(body["title"], str)
    assert body["title"]
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert not _TRACEBACK.search(answer.text), answer.text
    return body


def silent_about(answer: httpx.Response, *secrets: str) -> None:
    """None of these is anywhere in the answer, its headers included."""
    everything = answer.text + repr(answer.headers.raw)
    for secret in secrets:
        assert secret not in everything, f"{secret!r} is in {everything}"
