"""Refresh tokens: for whom each was given out, until when, and that it has not been taken back.

A token is random, and says nothing by itself. What is kept is its hash, in a file that every web worker of this
AIRFLOW_HOME can read, so that a token is valid for all of them and gone for all of them once it is revoked.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MOST_PER_USER = 100
"""Tokens that a user may hold; one more ends the oldest. Scripts ask for one at each of their runs."""

_BYTES = 48


class RefreshTokens:
    """The tokens below one folder, each valid for `seconds`. Safe to use from several threads and processes."""

    def __init__(self, home: Path, seconds: float) -> None:
        self._home = home
        self._seconds = seconds

    def issue(self, user: str) -> str:
        """A new token for the user of this name."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_room(user)
        token = secrets.token_urlsafe(_BYTES)
        record = {"user": user, "expires": time.time() + self._seconds}
        handle = os.open(self._path(token, user), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(record, file)
        return token

    def user(self, token: str) -> str | None:
        """Name of the user whom this token was given to; None where it is not, or no longer, valid."""
        for path in self._found(token):
            with suppress(OSError, ValueError):
                record = json.loads(path.read_text())
                if record["expires"] > time.time():
                    return str(record["user"])
        return None

    def revoke(self, token: str) -> None:
        """Make a token worthless; one that is so already stays so."""
        for path in self._found(token):
            path.unlink(missing_ok=True)

    def _found(self, token: str) -> Iterator[Path]:
        return self._home.glob(f"*-{_digest(token)}.json")

    def _path(self, token: str, user: str) -> Path:
        return self._home / f"{_digest(user)[:16]}-{_digest(token)}.json"

    def _make_room(self, user: str) -> None:
        """Forget what has expired, and the user's oldest where there are too many."""
        own = []
        for path in self._home.glob("*.json"):
            with suppress(OSError):
                written = path.stat().st_mtime
                if written + self._seconds < time.time():
                    path.unlink()
                elif path.name.startswith(_digest(user)[:16]):
                    own.append((written, path))
        for _, path in sorted(own)[: max(0, len(own) + 1 - MOST_PER_USER)]:
            path.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
