"""What a source of DAG files is: it lists named entries with a version, and opens an entry's bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class Entry:
    """One file that a source offers.

    `name` is the relative POSIX path that the source gives the file. It comes from outside: whoever writes
    it to disk checks it first. `version` is opaque: two entries of one name with the same version hold the
    same bytes; None where the source can't tell, which means that the bytes have to be read. `size` is in
    bytes, None where the source does not say. `origin` is what the source itself calls it, for messages.

    `content` is there where listing brought the bytes along: who keeps the entry keeps them in memory.
    `problem` says why the source has no file to give for it.
    """

    name: str
    version: str | None = None
    size: int | None = None
    origin: str = ""
    content: bytes | None = field(default=None, repr=False)
    problem: str | None = None


class Source(Protocol):
    """One place that DAG files come from, for the length of one request.

    A source holds the credentials of that request alone, and shows them in no repr, message or log.
    """

    def entries(self) -> Iterator[Entry]:
        """What there is. Raises SourceFailed of any kind, OutboundRefused, TooLarge."""
        ...

    def open(self, entry: Entry) -> AbstractContextManager[BinaryIO]:
        """The bytes of one of `entries()`, from their start. May be called from several threads.

        Raises SourceFailed where they can't be read, EntryFailed where it is this entry alone that can't,
        TooLarge past the cap that the source was given, ChecksumMismatch where they are not the ones that
        were asked for.
        """
        ...
