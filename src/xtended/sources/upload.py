"""DAG files that come in the request itself: multipart parts and code in a form field."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

from xtended.problems import BadRequest, TooLarge
from xtended.sources.base import Entry

_CHUNK_BYTES = 1024 * 1024


class UploadSource:
    """Files by name, as seekable streams that the web framework owns and closes."""

    def __init__(self, files: Mapping[str, BinaryIO], *, max_bytes: int) -> None:
        self._files = dict(files)
        self._max_bytes = max_bytes

    @classmethod
    def of_text(cls, name: str, text: str, *, max_bytes: int) -> UploadSource:
        """One file out of a form field, stored as UTF-8. Raises BadRequest where it has no UTF-8 form."""
        try:
            content = text.encode("utf-8")
        except UnicodeEncodeError:
            raise BadRequest(f"The text of {name!r} holds characters that UTF-8 does not have.") from None
        return cls({name: io.BytesIO(content)}, max_bytes=max_bytes)

    def entries(self) -> Iterator[Entry]:
        """Each file, its version being the hash of its bytes. Raises TooLarge before it reads any."""
        for name, stream in self._files.items():
            size = stream.seek(0, os.SEEK_END)
            if size > self._max_bytes:
                raise TooLarge(
                    f"{name!r} has {size} bytes; at most {self._max_bytes} are taken.",
                    size=size,
                    limit=self._max_bytes,
                )
            stream.seek(0)
            digest = hashlib.sha256()
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
            yield Entry(name, version=f"sha256:{digest.hexdigest()}", size=size)

    def open(self, entry: Entry) -> AbstractContextManager[BinaryIO]:
        stream = self._files[entry.name]
        stream.seek(0)
        return nullcontext(stream)
