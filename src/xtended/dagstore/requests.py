"""Idempotency keys: the same request twice is done once, and answered the same."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xtended.problems import BadRequest, FolderBusy

__all__ = ["MAX_KEY_CHARACTERS", "Once", "Requests"]

KEPT_SECONDS = 24 * 3600.0
"""How long an answer is remembered: a day, as is usual for this header."""

MAX_KEY_CHARACTERS = 255

_POLL_SECONDS = 0.02


@dataclass
class Once:
    """One request under a key. `answer`: what it was answered before, or what to answer from now on.

    `key` is for `DagStore.apply`: it ties a revision to the request. `revision` is the one that an earlier
    try made before it was cut short, without an answer.
    """

    key: str
    answer: dict[str, Any] | None
    revision: str | None = None


class Requests:
    """One small file for each key, locked while its request is under way."""

    def __init__(self, home: Path, timeout: float) -> None:
        self._home = home
        self._timeout = timeout

    @contextmanager
    def once(self, user: str, key: str, fingerprint: str) -> Iterator[Once]:
        """Waits for a request with the same key. What the body leaves in `answer` is remembered.

        Raises BadRequest (the key is too long, or was used for another request), FolderBusy.
        """
        if not 0 < len(key) <= MAX_KEY_CHARACTERS:
            raise BadRequest(f"An Idempotency-Key has 1 to {MAX_KEY_CHARACTERS} characters.")
        name = hashlib.sha256(json.dumps([user, key]).encode()).hexdigest()
        self._home.mkdir(parents=True, exist_ok=True)
        handle = self._claim(self._home / name)
        try:
            known = self._load(handle)
            if known is not None and known["fingerprint"] != fingerprint:
                raise BadRequest("This Idempotency-Key was used for another request: take a new one.")
            once = Once(name, None if known is None else known["answer"])
            yield once
            if known is None and once.answer is not None:
                # The request is done; where its answer can't be kept, its revision still tells.
                with contextlib.suppress(OSError):
                    self._save(handle, {"fingerprint": fingerprint, "answer": once.answer})
        finally:
            os.close(handle)

    def sweep(self) -> None:
        """Forget what is older than a day."""
        oldest = time.time() - KEPT_SECONDS
        for path in self._home.iterdir() if self._home.is_dir() else ():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _claim(self, path: Path) -> int:
        deadline = time.monotonic() + self._timeout
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
            except (BlockingIOError, FileNotFoundError):
                pass  # another request has it, or it has just been swept
            os.close(handle)
            if time.monotonic() > deadline:
                raise FolderBusy(
                    "A request with this Idempotency-Key is still under way; try again.",
                    headers={"Retry-After": "2"},
                )
            time.sleep(_POLL_SECONDS)

    def _load(self, handle: int) -> dict[str, Any] | None:
        size = os.fstat(handle).st_size
        try:
            known = json.loads(os.pread(handle, size, 0)) if size else None
        except ValueError:
            return None  # cut short while it was written: the request's revision tells
        return known if isinstance(known, dict) else None

    def _save(self, handle: int, value: dict[str, Any]) -> None:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(value).encode(), 0)
        os.fsync(handle)
