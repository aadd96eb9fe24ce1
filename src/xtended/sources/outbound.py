"""A guarded HTTP GET: checked addresses, hand-followed redirects, a deadline, a size cap."""

from __future__ import annotations

import hashlib
import logging
import ssl
import zlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote, urljoin

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from xtended.problems import BadRequest, OutboundRefused, SourceFailed, TooLarge
from xtended.sources.addresses import OutboundPolicy
from xtended.sources.guarded import Deadline, GuardedAdapter, deadline_of

__all__ = ["MAX_REDIRECTS", "Fetched", "OutboundPolicy", "fetch"]

MAX_REDIRECTS = 5
CHUNK_BYTES = 64 * 1024

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_PAGE_STARTS = (b"<!doctype", b"<html")

_fetching: ContextVar[bool] = ContextVar("xtended_fetching", default=False)


def _not_fetching(_: logging.LogRecord) -> bool:
    return not _fetching.get()


# urllib3 logs each request's path with its query, where signed URLs carry their secret.
logging.getLogger("urllib3.connectionpool").addFilter(_not_fetching)


@dataclass(frozen=True)
class Fetched:
    """What a URL answered: the bytes (unpacked), their media type in lower case, their SHA-256 in hex, and
    the host that the last redirect led to."""

    content: bytes = field(repr=False)
    content_type: str
    sha256: str
    host: str


def fetch(url: str, *, policy: OutboundPolicy, timeout: float, max_bytes: int) -> Fetched:
    """GET `url`, which holds a file and not a web page.

    `timeout` is in seconds for all of it: look-up, connection, every redirect, the last byte. Credentials
    in the URL go to its own origin alone. Raises BadRequest (not a URL we fetch), OutboundRefused,
    TooLarge (past `max_bytes`), SourceFailed (all that can go wrong at the other end).
    """
    target = _target(url)
    token = _fetching.set(True)
    try:
        with deadline_of(timeout) as deadline, GuardedAdapter(policy, deadline) as adapter:
            try:
                return _follow(target, adapter, deadline, max_bytes)
            except (HTTPError, OSError, zlib.error) as error:
                # The library's own message holds the URL with its query, so it is not passed on.
                raise _failure(error, deadline) from None
    finally:
        _fetching.reset(token)


class _Target(NamedTuple):
    """A URL that we are willing to ask for, its credentials taken out."""

    url: str
    scheme: str
    host: str
    port: int
    credentials: tuple[str, str] | None

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    def __repr__(self) -> str:
        return f"<{self.scheme}://{self.host}:{self.port}>"


def _target(url: str) -> _Target:
    try:
        parts = parse_url(url.strip())
        if parts.scheme not in ("http", "https"):
            raise BadRequest("Only http and https URLs are fetched.")
        # Requests puts the host name into the form that is looked up (IDNA), and refuses what can't be one.
        prepared = requests.Request("GET", parts._replace(auth=None, fragment=None).url).prepare()
        bare = parse_url(prepared.url or "")
    except ValueError:
        raise BadRequest("The URL can't be read: give an absolute http or https URL.") from None
    credentials = None
    if parts.auth is not None:
        user, _, password = parts.auth.partition(":")
        # Requests encodes these as Latin-1, which gives back the very bytes that were percent-encoded.
        credentials = unquote(user, "latin-1"), unquote(password, "latin-1")
    return _Target(
        url=bare.url,
        scheme=parts.scheme,
        host=bare.host or "",
        port=bare.port or (443 if parts.scheme == "https" else 80),
        credentials=credentials,
    )


def _follow(target: _Target, adapter: GuardedAdapter, deadline: Deadline, max_bytes: int) -> Fetched:
    for _ in range(MAX_REDIRECTS + 1):
        response = adapter.get(target.url, target.credentials)
        try:
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                return _read(response, target.host, deadline, max_bytes)
            target = _redirected(target, response.headers["location"])
        finally:
            response.close()
    raise SourceFailed(f"The URL was redirected more than {MAX_REDIRECTS} times.", host=target.host)


def _redirected(source: _Target, location: str) -> _Target:
    try:
        # http.client reads headers as Latin-1; servers send UTF-8.
        target = _target(urljoin(source.url, location.encode("latin-1").decode("utf-8", "replace")))
    except (BadRequest, ValueError):
        raise SourceFailed(
            f"{source.host!r} redirects to something that is not an http or https URL.", host=source.host
        ) from None
    if source.scheme == "https" and target.scheme == "http":
        raise OutboundRefused(
            f"{source.host!r} redirects from https to http ({target.host!r}), which gives up its protection.",
            host=target.host,
        )
    if target.credentials is None and target.origin == source.origin:
        target = target._replace(credentials=source.credentials)
    return target


def _read(response: requests.Response, host: str, deadline: Deadline, max_bytes: int) -> Fetched:
    if response.status_code != 200:
        raise SourceFailed(
            f"{host!r} answered status {response.status_code}.", host=host, source_status=response.status_code
        )
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type in _PAGE_TYPES:
        raise SourceFailed(f"{host!r} answered a web page, not a DAG file.", host=host)
    declared = response.raw.length_remaining
    if declared is not None and declared > max_bytes:
        raise _too_large(host, max_bytes)
    content = bytearray()
    for chunk in _unpacked(response, host, max_bytes):
        content += chunk
        if len(content) > max_bytes:
            raise _too_large(host, max_bytes)
    # A cut connection looks like the end of a body that declares no length.
    if deadline.passed:
        raise deadline.missed()
    if content[:64].lstrip().lower().startswith(_PAGE_STARTS):
        raise SourceFailed(f"{host!r} answered a web page, not a DAG file.", host=host)
    return Fetched(bytes(content), content_type, hashlib.sha256(content).hexdigest(), host)


def _unpacked(response: requests.Response, host: str, max_bytes: int) -> Iterator[bytes]:
    """The body, never more than a chunk past `max_bytes` at once, whatever it unpacks to."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise SourceFailed(
            f"{host!r} answered with content encoding {encoding!r}, though none was asked for.", host=host
        )
    if encoding in ("", "identity"):
        yield from _chunks(response)
        return
    # Servers may send what they store packed although identity was asked for.
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    received = 0
    for chunk in _chunks(response):
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(host, max_bytes)
        yield unpacker.decompress(chunk, max_bytes + 1)
        if unpacker.eof:
            return
    raise SourceFailed(f"{host!r} answered a body that ends early.", host=host)


def _chunks(response: requests.Response) -> Iterator[bytes]:
    while chunk := response.raw.read(CHUNK_BYTES, decode_content=False):
        yield chunk


def _too_large(host: str, max_bytes: int) -> TooLarge:
    return TooLarge(f"{host!r} answers more than {max_bytes} bytes, the most that is taken.", limit=max_bytes)


def _failure(error: Exception, deadline: Deadline) -> SourceFailed:
    if deadline.passed or isinstance(error, requests.Timeout):
        return deadline.missed()
    if isinstance(error, requests.exceptions.SSLError):
        return SourceFailed(f"TLS with the server failed: {_tls_reason(error)}.")
    return SourceFailed("The connection broke, or the server does not speak HTTP.")


def _tls_reason(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
        error = error.__context__
    return "there was no agreement on a protocol"
