"""What is remembered of syncs makes none of them wrong, however old, damaged or lost it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xtended.synced import Fact, Remembered, digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "a.py").write_bytes(b"X = 1\n")
    return tmp_path / "dags"


@pytest.fixture
def memory(tmp_path: Path, folder: Path) -> Path:
    """A memory of a.py as it is in the folder."""
    Remembered.load(tmp_path / "memory.json").keep(
        {"a.py": Fact("v1", digest(b"X = 1\n"), published=False)}, gone=()
    )
    return tmp_path / "memory.json"


def holds(memory: Path, folder: Path, version: str | None = "v1", *, published: bool = False) -> bool:
    return Remembered.load(memory).holds(folder, "a.py", version, published=published)


def test_what_is_as_it_was_synced_is_held(memory: Path, folder: Path) -> None:
    assert holds(memory, folder)


def test_another_version_or_none_is_not_held(memory: Path, folder: Path) -> None:
    assert not holds(memory, folder, "v2")
    assert not holds(memory, folder, None)


def test_what_was_not_published_is_not_held_for_who_wants_that(memory: Path, folder: Path) -> None:
    assert not holds(memory, folder, published=True)


def test_a_file_that_changed_is_not_held_whatever_its_size_and_times_say(memory: Path, folder: Path) -> None:
    file = folder / "a.py"
    before = file.stat()
    file.write_bytes(b"X = 2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not holds(memory, folder)


def test_a_file_that_is_gone_a_link_or_no_file_is_not_held(memory: Path, folder: Path) -> None:
    file = folder / "a.py"
    file.rename(folder / "b.py")
    assert not holds(memory, folder)
    file.symlink_to("b.py")
    assert not holds(memory, folder)
    file.unlink()
    os.mkfifo(file)
    assert not holds(memory, folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a.py": 7}', '{"a.py": ["v1"]}', '{"a.py": [1, 2, 3]}'])
def test_a_damaged_memory_is_an_empty_one(memory: Path, folder: Path, text: str) -> None:
    memory.write_text(text)
    assert not holds(memory, folder)


def test_a_memory_that_can_not_be_written_is_done_without(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    Remembered.load(tmp_path / "file" / "memory.json").keep({"a.py": Fact("v1", "0", False)}, gone=())


def test_what_is_gone_is_forgotten(memory: Path, folder: Path) -> None:
    Remembered.load(memory).keep({}, gone=["a.py"])
    assert not holds(memory, folder)
