"""Small disks of their own for the tests, where the machine lets us mount them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MS_RDONLY, _MS_REMOUNT, _MNT_DETACH = 1, 32, 2
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Make `folder`, a tmpfs of `size` bytes; where mounting is forbidden a plain folder, and False."""
    folder.mkdir()
    options = f"size={size},mode=0755".encode()
    mounted = _libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options) == 0
    try:
        yield mounted
    finally:
        if mounted:
            _libc.umount2(os.fsencode(folder), _MNT_DETACH)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing can be written to this small disk meanwhile, by root neither."""
    _remount(folder, _MS_RDONLY)
    try:
        yield
    finally:
        _remount(folder, 0)


def _remount(folder: Path, flags: int) -> None:
    if _libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", _MS_REMOUNT | flags, None) != 0:
        raise OSError(ctypes.get_errno(), "can't remount", str(folder))
