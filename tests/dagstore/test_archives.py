"""A zip is harmless before anything of it is written."""

from __future__ import annotations

import contextlib
import io
import re
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtended.dagstore.archives import ArchiveLimits, Member, check_archive
from xtended.problems import BadArchive, Problem, TooLarge

MEGABYTE = 1024 * 1024
LIMITS = ArchiveLimits(members=100, total_bytes=64 * MEGABYTE, ratio=100)


def zipped(*members, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_plain_archive_passes():
    data = zipped(("a.py", "x = 1"), ("pkg/", ""), ("pkg/__init__.py", ""), ("pkg/b.py", "y" * 9))
    expected = [Member("a.py", 5), Member("pkg/__init__.py", 0), Member("pkg/b.py", 9)]
    assert check_archive(data, LIMITS) == expected
    assert check_archive(io.BytesIO(data), LIMITS) == expected
    assert check_archive(zipped(("a.py", "x"), compression=zipfile.ZIP_STORED), LIMITS) == [Member("a.py", 1)]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
            lambda name: not name.startswith("\0")  # zipfile does not write such a name
        ),
        max_size=4,
    )
)
def test_no_member_of_an_accepted_archive_leads_outside(names):
    data = zipped(*((name, "x") for name in names))
    try:
        members = check_archive(data, LIMITS)
    except Problem:
        return
    for member in members:
        path = PurePosixPath(member.path)
        assert not path.is_absolute()
        assert ".." not in path.parts


@given(st.binary(max_size=400), st.integers(0, 400), st.integers(0, 255))
def test_no_garbage_is_an_internal_error(noise, position, value):
    damaged = bytearray(zipped(("a.py", noise), ("b.py", noise)))
    damaged[position % len(damaged)] = value
    for data in (noise, b"PK\x03\x04" + noise, bytes(damaged), bytes(damaged[: -position or None])):
        with contextlib.suppress(BadArchive, TooLarge):
            check_archive(data, LIMITS)


@pytest.mark.parametrize(
    "name", ["../a.py", "/a.py", "a\\..\\b.py", "C:/a.py", ".git/hooks/x", "__pycache__/a.pyc", "a\n.py"]
)
def test_a_bad_member_name_refuses_the_whole(name):
    with pytest.raises(BadArchive, match="bad name"):
        check_archive(zipped(("ok.py", ""), (name, "")), LIMITS)


def test_a_name_behind_a_nul_is_seen():
    data = zipped(("a.pyX../b", "")).replace(b"a.pyX../b", b"a.py\x00../b")
    with pytest.raises(BadArchive, match="bad name"):
        check_archive(data, LIMITS)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names", [("a.py", "a.py"), ("é.py", "e\u0301.py"), ("a", "a/b.py"), ("a/b.py", "a"), ("a/", "a")]
)
def test_two_members_of_one_name_are_refused(names):
    with pytest.raises(BadArchive, match=r"twice|both"):
        check_archive(zipped(*((name, "") for name in names)), LIMITS)


def test_symbolic_links_are_refused():
    info = zipfile.ZipInfo("a.py")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(BadArchive, match="symbolic link"):
        check_archive(zipped((info, "/etc/passwd")), LIMITS)


def test_encrypted_members_are_refused():
    data = bytearray(zipped(("a.py", "x")))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadArchive, match="encrypted"):
        check_archive(bytes(data), LIMITS)


def test_methods_python_cannot_import_are_refused():
    with pytest.raises(BadArchive, match="deflate"):
        check_archive(zipped(("a.py", "x" * 99), compression=zipfile.ZIP_LZMA), LIMITS)


@pytest.mark.parametrize(
    "data", [b"", b"not a zip", b"PK\x05\x06", b"PK\x05\x06" + bytes(18), zipped(), b"<html>404</html>" * 99]
)
def test_what_is_no_archive_is_refused(data):
    with pytest.raises(BadArchive):
        check_archive(data, LIMITS)


def test_data_in_front_is_refused():
    with pytest.raises(BadArchive):
        check_archive(b"#!/bin/sh\n" + zipped(("a.py", "x")), LIMITS)


def test_too_many_members_are_refused():
    with pytest.raises(TooLarge, match="100 members"):
        check_archive(zipped(*((f"{number}.py", "") for number in range(101))), LIMITS)


def test_damage_is_noticed():
    data = zipped(("a.py", "x = 1" * 50), compression=zipfile.ZIP_STORED)
    with pytest.raises(BadArchive, match="not what its header says"):
        check_archive(data.replace(b"x = 1", b"y = 1", 1), LIMITS)


def test_overlapping_members_are_refused():
    """The trick of small bombs with huge output: many directory entries that share one body."""
    data = zipped(("a.py", "x" * 1000), ("b.py", "x" * 1000))
    directory = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", directory + 4)
    shared = bytearray(data)
    shared[second + 42 : second + 46] = struct.pack("<L", 0)
    shared = shared.replace(b"b.py", b"a.py")
    with pytest.raises(BadArchive):
        check_archive(bytes(shared), LIMITS)


BOMB = """
import resource, sys, zlib, zipfile, struct
from xtended.dagstore.archives import ArchiveLimits, check_archive
from xtended.problems import Problem

kind = sys.argv[1]
deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
block = bytes(1024 * 1024)
packed = b"".join(deflate.compress(block) for _ in range(512)) + deflate.flush()
size = 1000 if kind == "lying" else 512 * len(block)
fields = struct.pack("<4H3L2H", 0, 8, 0, 0, 0, len(packed), size, 1, 0)
entry = b"PK\x01\x02" + struct.pack("<2H", 20, 20) + fields + struct.pack("<3H2L", 0, 0, 0, 0, 0) + b"a"
count = 200_000 if kind == "entries" else 1
start = b"PK\x03\x04" + struct.pack("<H", 20) + fields + b"a" + packed
counts = (count % 65536, count % 65536)
end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, *counts, len(entry) * count, len(start), 0)
data = start + entry * count + end
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    check_archive(data, ArchiveLimits(members=5000, total_bytes=256 * 1024 * 1024, ratio=100))
except Problem as problem:
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(problem.kind, grown, len(data), problem.detail)
"""


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [("honest", "256 times|268435456 bytes"), ("lying", "100 times"), ("entries", "5000 members")],
)
def test_a_real_bomb_is_refused_in_bounded_memory(kind, refusal):
    """Half a gigabyte out of half a megabyte; with a header that says 1,000 bytes; 200,000 members."""
    done = subprocess.run(
        [sys.executable, "-c", BOMB, kind], capture_output=True, text=True, timeout=60, check=True
    )
    problem, grown_kilobytes, _, detail = done.stdout.split(maxsplit=3)
    assert problem == "too-large"
    assert re.search(refusal, detail)
    assert int(grown_kilobytes) < 16 * 1024
