"""One DAG file behind a URL, stored under the name that the client gives it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

from xtended.problems import BadRequest, ChecksumMismatch
from xtended.sources.base import Entry
from xtended.sources.outbound import OutboundPolicy, fetch


class UrlSource:
    """A file that is fetched when it is opened; `sha256` (hex) refuses any other bytes.

    Raises BadRequest where `sha256` is none.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        policy: OutboundPolicy,
        timeout: float,
        max_bytes: int,
        sha256: str | None = None,
    ) -> None:
        self._name = name
        self._url = url
        self._policy = policy
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._sha256 = _checked(sha256) if sha256 else None

    def entries(self) -> Iterator[Entry]:
        """The one file. Its version is known only where the client says which bytes it wants."""
        yield Entry(self._name, version=f"sha256:{self._sha256}" if self._sha256 else None)

    def open(self, entry: Entry) -> AbstractContextManager[BinaryIO]:
        fetched = fetch(self._url, policy=self._policy, timeout=self._timeout, max_bytes=self._max_bytes)
        if self._sha256 is not None and fetched.sha256 != self._sha256:
            raise ChecksumMismatch(
                f"{entry.name!r} was asked for with SHA-256 {self._sha256}, "
                f"but the URL answers bytes with SHA-256 {fetched.sha256}.",
                expected=self._sha256,
                found=fetched.sha256,
            )
        return io.BytesIO(fetched.content)


def _checked(sha256: str) -> str:
    digest = sha256.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise BadRequest(f"{sha256!r} is not a SHA-256: give its 64 hexadecimal digits.")
    return digest
