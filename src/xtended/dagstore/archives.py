"""Checking a zip before anything of it is written or imported."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from xtended.dagstore.names import check_path
from xtended.problems import BadArchive, BadName, TooLarge

__all__ = ["ArchiveLimits", "Member", "check_archive"]

RATIO_FLOOR_BYTES = 1024 * 1024
"""Below this many unpacked bytes the ratio is not looked at: a small file of blanks is no bomb."""

_CHUNK = 256 * 1024
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # classic, strong, and masked-directory encryption
_UTF8_NAME = 0x800
_DIRECTORY_ENTRY = b"PK\x01\x02"
_END_OF_DIRECTORY = b"PK\x05\x06"
_END_STRUCT = struct.Struct("<4s4H2LH")
_LOCAL_STRUCT = struct.Struct("<4s5H3L2H")
_LOCAL_ENTRY = b"PK\x03\x04"
_EMPTY_ARCHIVE = "The zip has no members."
_NOT_A_ZIP = "The file is not a zip archive, or is cut short."


@dataclass(frozen=True)
class ArchiveLimits:
    """What a zip may hold: members (count), total_bytes (all, unpacked), ratio (unpacked / packed)."""

    members: int
    total_bytes: int
    ratio: int


@dataclass(frozen=True)
class Member:
    """One file of an archive: its checked path, and its real size in bytes."""

    path: str
    size: int


def check_archive(data: bytes | BinaryIO, limits: ArchiveLimits) -> list[Member]:
    """The files in the zip, in its order, once all of it has been found harmless. Writes nothing.

    What headers say is checked first, as it is cheap; then each member is inflated in chunks that are
    thrown away, as headers lie. Memory stays at the packed size and one chunk.

    Only stored and deflated members are taken: Python's zip importer reads no others.

    Raises BadArchive (garbage, bad member names, encryption, symbolic links, duplicates, members that
    overlap or lie about themselves) or TooLarge (member count, unpacked size, ratio).
    """
    packed = data if isinstance(data, bytes) else data.read()
    _check_member_count(packed, limits)
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            infos, directory_start = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, struct.error):
        raise BadArchive(_NOT_A_ZIP) from None
    if not infos:
        raise BadArchive(_EMPTY_ARCHIVE)
    if not packed.startswith(_LOCAL_ENTRY):
        raise BadArchive("The file has other data in front of its zip archive.")

    budget = _Budget(limits, len(packed))
    budget.check(sum(info.file_size for info in infos))
    paths = _checked_paths(infos)
    ranges = [_data_range(packed, info, directory_start) for info in infos]
    _check_overlap((info.header_offset, end) for info, (_, end) in zip(infos, ranges, strict=True))
    for info, (start, end) in zip(infos, ranges, strict=True):
        _check_content(memoryview(packed)[start:end], info, budget)
    return [
        Member(path, info.file_size) for path, info in zip(paths, infos, strict=True) if not info.is_dir()
    ]


class _Budget:
    """Counts unpacked bytes of all members against the limits."""

    def __init__(self, limits: ArchiveLimits, packed: int) -> None:
        self._limits = limits
        self._packed = packed
        self._used = 0

    def spend(self, size: int) -> None:
        self._used += size
        self.check(self._used)

    def check(self, unpacked: int) -> None:
        if unpacked > self._limits.total_bytes:
            raise TooLarge(f"The zip unpacks to more than {self._limits.total_bytes} bytes.")
        if unpacked > max(RATIO_FLOOR_BYTES, self._packed * self._limits.ratio):
            raise TooLarge(f"The zip unpacks to more than {self._limits.ratio} times its own size.")


def _check_member_count(packed: bytes, limits: ArchiveLimits) -> None:
    # Before zipfile makes an object of each entry: half a million of them are hundreds of megabytes.
    end = packed.rfind(_END_OF_DIRECTORY)
    if end < 0 or end + _END_STRUCT.size > len(packed):
        raise BadArchive(_NOT_A_ZIP)
    size = _END_STRUCT.unpack_from(packed, end)[5]
    if packed.count(_DIRECTORY_ENTRY, max(0, end - size), end) > limits.members:
        raise TooLarge(f"The zip has more than {limits.members} members.")


def _checked_paths(infos: list[zipfile.ZipInfo]) -> list[str]:
    paths = [_checked_path(info) for info in infos]
    files: set[str] = set()
    folders: set[str] = set()
    for path, info in zip(paths, infos, strict=True):
        if path in files or (path in folders and not info.is_dir()):
            raise BadArchive(f"The zip has the member {path!r} twice.")
        if not info.is_dir():
            files.add(path)
        else:
            folders.add(path)
        above = path.rpartition("/")[0]
        while above and above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
    both = files & folders
    if both:
        raise BadArchive(f"The zip has {min(both)!r} both as a file and as a folder.")
    return paths


def _checked_path(info: zipfile.ZipInfo) -> str:
    # Both: zipfile cuts `filename` at a NUL, and takes it from an extra field that other readers do not know.
    try:
        check_path(info.filename.removesuffix("/"))
        path = check_path(info.orig_filename.removesuffix("/"))
    except BadName as error:
        raise BadArchive(f"A member of the zip has a bad name. {error.detail}") from None
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise BadArchive(f"The zip member {path!r} is a symbolic link or a special file.")
    if info.flag_bits & _ENCRYPTED:
        raise BadArchive(f"The zip member {path!r} is encrypted.")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BadArchive(f"The zip member {path!r} is packed in a way Python can't import: use deflate.")
    return path


def _data_range(packed: bytes, info: zipfile.ZipInfo, directory_start: int) -> tuple[int, int]:
    """Where the packed bytes of a member start and end, by its local header."""
    try:
        header = _LOCAL_STRUCT.unpack_from(packed, info.header_offset)
    except struct.error:
        raise BadArchive(_NOT_A_ZIP) from None
    signature, _, flags, method, *_, name_length, extra_length = header
    name_start = info.header_offset + _LOCAL_STRUCT.size
    name = packed[name_start : name_start + name_length]
    start = name_start + name_length + extra_length
    end = start + info.compress_size
    encoding = "utf-8" if info.flag_bits & _UTF8_NAME else "cp437"
    if (
        signature != _LOCAL_ENTRY
        or name != info.orig_filename.encode(encoding)
        or method != info.compress_type
        or flags & _ENCRYPTED
        or end > directory_start
    ):
        raise BadArchive(f"The headers of the zip member {info.filename!r} contradict each other.")
    return start, end


def _check_overlap(ranges: Iterable[tuple[int, int]]) -> None:
    """Members that share bytes are how a small zip unpacks to petabytes."""
    last = 0
    for start, end in sorted(ranges):
        if start < last:
            raise BadArchive("Members of the zip overlap.")
        last = end


def _check_content(packed: memoryview, info: zipfile.ZipInfo, budget: _Budget) -> None:
    size = checksum = 0
    for chunk in _unpacked(packed, info):
        budget.spend(len(chunk))
        size += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
    if size != info.file_size or checksum != info.CRC:
        raise BadArchive(f"The content of the zip member {info.filename!r} is not what its header says.")


def _unpacked(packed: memoryview, info: zipfile.ZipInfo) -> Iterable[bytes | memoryview]:
    if info.compress_type == zipfile.ZIP_STORED:
        yield packed
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    position = 0
    try:
        while not inflater.eof:
            rest: bytes | memoryview = inflater.unconsumed_tail
            if not rest:
                rest = packed[position : position + _CHUNK]
                position += len(rest)
            # Fed with nothing it still hands out what it holds back, and nothing more once it is empty.
            chunk = inflater.decompress(rest, _CHUNK)
            if not rest and not chunk:
                break
            yield chunk
    except zlib.error:
        raise BadArchive(f"The zip member {info.filename!r} is damaged.") from None
    if not inflater.eof:
        raise BadArchive(f"The zip member {info.filename!r} is cut short.")
