"""Requests that go on after their answer, as files that any web worker can read, and that outlive them all."""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xtended.problems import NotFound, Problem, Unavailable
from xtended.progress import APPLIED, STAGES

KEPT_SECONDS = 24 * 3600
MOST_RUNNING = 16
"""More than anybody needs at once, and no more threads than a web server can bear."""

_ID = re.compile(r"[0-9a-f]{32}")
_CANCEL_LOOK_SECONDS = 0.2


class Cancelled(Problem):
    status, kind, title = 409, "cancelled", "Cancelled"


class Operations:
    """The operations below one folder. Safe to use from several threads and processes."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def begin(self, operation: str, user: str) -> Running:
        """A new operation. Raises Unavailable where too many are under way."""
        self._home.mkdir(parents=True, exist_ok=True)
        running = sum(1 for identity in self._known() if self.show(identity)["state"] == "running")
        if running >= MOST_RUNNING:
            raise Unavailable(
                f"{running} operations are under way already; wait for one of them.",
                headers={"Retry-After": "10"},
            )
        return Running(self._home, uuid.uuid4().hex, operation, user)

    def show(self, identity: str) -> dict[str, Any]:
        """The Operation of the spec. Raises NotFound, also a day after it ended."""
        path = self._path(identity)
        state = _read(path)
        if state["state"] == "running" and _abandoned(path):
            # Between the two, it may have ended as it should.
            state = _read(path)
            if state["state"] == "running":
                reason = (
                    "The web server ended while it was under way. The DAG folder is as it was before, or as it was "
                    "to be; its revisions say which."
                )
                state |= {"state": "failed", "ended": _now(), "problem": Unavailable(reason).body()}
                _write(path, state)
        return state

    def list(self, state: str | None = None) -> Sequence[dict[str, Any]]:
        """Those in `state`, or all, newest first."""
        found = []
        for identity in self._known():
            # One that is swept meanwhile is no more.
            with suppress(NotFound):
                found.append(self.show(identity))
        wanted = [each for each in found if state in (None, each["state"])]
        return sorted(wanted, key=lambda each: (each["started"], each["id"]), reverse=True)

    def cancel(self, identity: str) -> dict[str, Any]:
        """Ask it to end with nothing changed; too late where it is changing files. Raises NotFound."""
        path = self._path(identity)
        if self.show(identity)["state"] == "running":
            path.with_suffix(".cancel").touch()
        return self.show(identity)

    def sweep(self) -> None:
        """Forget what ended more than a day ago."""
        oldest = time.time() - KEPT_SECONDS
        for identity in self._known():
            path = self._path(identity)
            with suppress(OSError, NotFound):
                if path.stat().st_mtime < oldest and self.show(identity)["state"] != "running":
                    for each in (path, path.with_suffix(".cancel"), path.with_suffix(".lock")):
                        each.unlink(missing_ok=True)

    def _known(self) -> Sequence[str]:
        return [path.stem for path in self._home.glob("*.json") if _ID.fullmatch(path.stem)]

    def _path(self, identity: str) -> Path:
        path = self._home / f"{identity}.json"
        if not _ID.fullmatch(identity) or not path.exists():
            raise NotFound(f"There is no operation {identity[:40]!r}, or it ended more than a day ago.")
        return path


class Running:
    """One operation, in the process that does it. Its lock tells others that this process lives."""

    def __init__(self, home: Path, identity: str, operation: str, user: str) -> None:
        self.id = identity
        self._path = home / f"{identity}.json"
        self._lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._cancel = self._path.with_suffix(".cancel")
        self._looked = 0.0
        self._state: dict[str, Any] = {
            "id": identity,
            "operation": operation,
            "user": user,
            "state": "running",
            "started": _now(),
            "ended": None,
            "stage": None,
            "counts": dict.fromkeys(STAGES, 0),
            "result": None,
            "problem": None,
        }
        _write(self._path, self._state)

    def check(self, stage: str, count: int) -> None:
        """Raises Cancelled where somebody has asked for it, and files are not being changed yet."""
        now = time.monotonic()
        if stage != APPLIED and now - self._looked > _CANCEL_LOOK_SECONDS:
            self._looked = now
            if self._cancel.exists():
                raise Cancelled("The operation was cancelled. Nothing was changed.")

    def tell(self, stage: str, count: int) -> None:
        self._state |= {"stage": stage, "counts": {**self._state["counts"], stage: count}}
        _write(self._path, self._state)

    def show(self) -> dict[str, Any]:
        return dict(self._state)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Lets go of the operation at the end, whatever comes."""
        try:
            yield
        finally:
            os.close(self._lock)

    def succeed(self, result: Mapping[str, Any]) -> None:
        self._end("succeeded", result=dict(result))

    def fail(self, problem: Mapping[str, Any]) -> None:
        cancelled = problem["type"].endswith(Cancelled.kind)
        self._end("cancelled" if cancelled else "failed", problem=dict(problem))

    def _end(self, state: str, **more: Any) -> None:
        self._state |= {"state": state, "ended": _now(), **more}
        _write(self._path, self._state)


def _abandoned(path: Path) -> bool:
    try:
        handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotFound("The operation ended more than a day ago.") from None
    return found


def _write(path: Path, state: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.new")
    temporary.write_text(json.dumps(state), encoding="utf-8")
    temporary.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
