"""Writing git packs: many objects in one file, older versions as what differs from newer ones."""

from __future__ import annotations

import hashlib
import os
import uuid
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Record", "delta", "write_pack"]

_COPY_MAX = 0xFFFF
"""Bytes that one copy instruction of a delta copies: what every reader of packs takes."""

_INSERT_MAX = 127


@dataclass(frozen=True)
class Record:
    """An object in a pack: its bytes, or its difference from `base`, which is earlier in the same pack."""

    id: str
    kind: int
    data: bytes
    base: str | None = None


def write_pack(folder: Path, count: int, records: Iterable[Record]) -> str:
    """A pack with these objects in `folder`, flushed; answers its name, without an ending.

    dulwich would read it back and parse each object, which takes most of the time.
    """
    from dulwich.object_format import SHA1
    from dulwich.pack import REF_DELTA, UnpackedObject, write_pack_data, write_pack_index

    unpacked = (
        UnpackedObject(
            record.kind if record.base is None else REF_DELTA,
            sha=bytes.fromhex(record.id),
            delta_base=None if record.base is None else bytes.fromhex(record.base),
            decomp_chunks=[record.data],
        )
        for record in records
    )
    temporary = folder / f"tmp_pack_{uuid.uuid4().hex}"
    index = temporary.with_suffix(".idx")
    try:
        with temporary.open("xb") as file:
            entries, checksum = write_pack_data(file.write, unpacked, SHA1, num_records=count)
            file.flush()
            os.fsync(file.fileno())
        ordered = sorted((identity, offset, crc) for identity, (offset, crc) in entries.items())
        with index.open("xb") as file:
            write_pack_index(file, ordered, checksum)
            file.flush()
            os.fsync(file.fileno())
        names = b"".join(identity for identity, _, _ in ordered)
        name = f"pack-{hashlib.sha1(names + checksum, usedforsecurity=False).hexdigest()}"
        for path in (temporary, index):
            path.chmod(0o444)
        # The index last: a pack without one is not looked into.
        temporary.rename(folder / f"{name}.pack")
        index.rename(folder / f"{name}.idx")
    except BaseException:
        temporary.unlink(missing_ok=True)
        index.unlink(missing_ok=True)
        raise
    return name


def delta(base: bytes, target: bytes) -> bytes:
    """What makes `target` of `base`, as git writes it: common beginning, common end, and what is new between.

    That is all there is for a folder's tree in which one file has changed; a full search for common parts
    takes a hundred times as long.
    """
    start = _common(base, target)
    rest = min(len(base), len(target)) - start
    end = _common(base[len(base) - rest :][::-1], target[len(target) - rest :][::-1]) if rest else 0
    middle = target[start : len(target) - end]
    return b"".join(
        (
            _size(len(base)),
            _size(len(target)),
            *_copies(0, start),
            *_inserts(middle),
            *_copies(len(base) - end, end),
        )
    )


def _common(one: bytes, other: bytes) -> int:
    """The length of the longest common beginning."""
    lengths = range(1, min(len(one), len(other)) + 1)
    return bisect_left(lengths, True, key=lambda length: one[:length] != other[:length])


def _copies(offset: int, length: int) -> Iterator[bytes]:
    for start in range(offset, offset + length, _COPY_MAX):
        size = min(_COPY_MAX, offset + length - start)
        operation, arguments = 0x80, bytearray()
        for number in range(4):
            if byte := start >> 8 * number & 0xFF:
                operation |= 1 << number
                arguments.append(byte)
        for number in range(2):
            if byte := size >> 8 * number & 0xFF:
                operation |= 1 << 4 + number
                arguments.append(byte)
        yield bytes((operation,)) + bytes(arguments)


def _inserts(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _INSERT_MAX):
        piece = content[start : start + _INSERT_MAX]
        yield bytes((len(piece),)) + piece


def _size(size: int) -> bytes:
    encoded = bytearray()
    while size > 0x7F:
        encoded.append(0x80 | size & 0x7F)
        size >>= 7
    encoded.append(size)
    return bytes(encoded)
