"""Correct logins, remembered for a short time, so that a slow password check is not paid on each request."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from typing import Generic, TypeVar

ProofT = TypeVar("ProofT")
MAX_ENTRIES = 1024


class LoginCache(Generic[ProofT]):
    """What a login proved, under a hash keyed by a secret of this process: no password is kept.

    Only correct logins are remembered; a wrong one costs its full check every time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._key = secrets.token_bytes(32)
        self._entries: OrderedDict[bytes, tuple[float, ProofT]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, username: str, password: str) -> ProofT | None:
        digest = self._digest(username, password)
        with self._lock:
            entry = self._entries.get(digest)
            if entry is None:
                return None
            if entry[0] < time.monotonic():
                del self._entries[digest]
                return None
            return entry[1]

    def remember(self, username: str, password: str, proof: ProofT) -> None:
        if not self._seconds:
            return
        with self._lock:
            self._entries[self._digest(username, password)] = (time.monotonic() + self._seconds, proof)
            while len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)

    def forget(self, username: str, password: str) -> None:
        with self._lock:
            self._entries.pop(self._digest(username, password), None)

    def _digest(self, username: str, password: str) -> bytes:
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        name = username.encode("utf-8")
        message = len(name).to_bytes(8, "big") + name + password.encode("utf-8")
        return hmac.digest(self._key, message, hashlib.sha256)
