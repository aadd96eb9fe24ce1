"""Programs that go on when the web server has ended: started, listed and ended by name, from any of its workers.

What is known of each is in a file beside its log. The process is found by its pid and the moment of its creation, so
that another one that has the same pid later is not taken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from xtended.problems import Conflict, NotFound, Unavailable

START_SECONDS = 30.0
GRACE_SECONDS = 10.0
"""From being asked to end to being ended."""

SETTLE_SECONDS = 1.5
"""How long a new process is watched: one with wrong arguments ends at once."""

CLOCK_SECONDS = 10.0

# The web server says by this variable what its own code may do.
_NOT_FOR_OTHERS = frozenset({"_AIRFLOW_PROCESS_CONTEXT"})


@dataclass(frozen=True)
class NewDaemon:
    """What to start. Where `stdout` and `stderr` are None they go to the daemon's own log; `pid_file` gets its pid."""

    name: str
    command: Sequence[str]
    user: str
    shown: Mapping[str, Any]
    """Arguments as they may be told, without secrets."""
    environment: Mapping[str, str] = field(default_factory=dict)
    stdout: Path | None = None
    stderr: Path | None = None
    pid_file: Path | None = None


@dataclass(frozen=True)
class Daemon:
    """One that was started. `pid` is None where it has ended."""

    name: str
    pid: int | None
    user: str
    started: str
    arguments: Mapping[str, Any]
    log: str


class Daemons:
    """The daemons below one folder. Safe to use from several threads and processes."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def start(self, new: NewDaemon) -> Daemon:
        """Start it. Raises Conflict (it is running; it ended at once), Unavailable."""
        with self._changing(new.name):
            if _running(self._read(new.name)) is not None:
                raise Conflict(f"The service {new.name!r} is running already.")
            if new.pid_file is not None and _alive(new.pid_file):
                raise Conflict(f"{new.pid_file.name!r} names a process that is running.")
            log = self._home / f"{new.name}.log"
            about = {
                "user": new.user,
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "arguments": dict(new.shown),
                "log": str(new.stdout or log),
            }
            record = self._record(new.name)
            record.write_text(json.dumps(about))
            outputs = [str(new.stdout or log), str(new.stderr or new.stdout or log)]
            command = [
                sys.executable,
                "-P",
                "-m",
                "xtended.daemon_program",
                str(record),
                *outputs,
                *new.command,
            ]
            kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_OTHERS}
            try:
                status = subprocess.run(  # noqa: S603
                    command,
                    env={**kept, **new.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=START_SECONDS,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                late = f"The service {new.name!r} is not there after {START_SECONDS:.0f} seconds."
                raise Unavailable(late, headers={"Retry-After": "30"}) from None
            found = _running(self._read(new.name))
            if status or found is None or _ended_soon(found):
                raise Conflict(f"The service {new.name!r} ended as soon as it was started; its log says why.")
            if new.pid_file is not None:
                new.pid_file.write_text(f"{found.pid}\n")
            return self._shown(new.name)

    def stop(self, name: str) -> None:
        """End it and all that it has started, in its own time at first. Raises NotFound where it is not running."""
        with self._changing(name):
            process = _running(self._read(name))
            if process is None:
                raise NotFound(f"The service {name!r} is not running.")
            family = [process, *_children(process)]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            _, left = psutil.wait_procs(family, timeout=GRACE_SECONDS)
            # One that was still starting when it was asked to end may have gone on, and started others.
            left = [*{*left, *_children(process), *_session(process.pid)}]
            for each in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            psutil.wait_procs(left, timeout=GRACE_SECONDS)

    def find(self, name: str) -> Daemon | None:
        """The last one of this name; None where there was none yet."""
        return self._shown(name) if self._read(name) else None

    def _shown(self, name: str) -> Daemon:
        record = self._read(name)
        process = _running(record)
        return Daemon(
            name,
            None if process is None else process.pid,
            record["user"],
            record["started"],
            record["arguments"],
            record["log"],
        )

    def _record(self, name: str) -> Path:
        return self._home / f"{name}.json"

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._record(name).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    @contextmanager
    def _changing(self, name: str) -> Iterator[None]:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with FileLock(self._home / f"{name}.lock", timeout=START_SECONDS, mode=0o600):
                yield
        except Timeout:
            raise Unavailable(
                f"The service {name!r} is being started or ended.", headers={"Retry-After": "5"}
            ) from None


def _running(record: Mapping[str, Any]) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess, KeyError):
        process = psutil.Process(record["pid"])
        # The system's clock, by which this moment is told, may have been set in between.
        same = abs(process.create_time() - record["created"]) < CLOCK_SECONDS
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _alive(pid_file: Path) -> bool:
    """Whether what a pid file names is running: it may be another program's."""
    with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
        return psutil.Process(int(pid_file.read_text())).status() != psutil.STATUS_ZOMBIE
    return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.children(recursive=True))
    return []


def _session(leader: int) -> Iterator[psutil.Process]:
    """What belongs to the session of a daemon, whose leader may have ended."""
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader:
                yield process


def _ended_soon(process: psutil.Process) -> bool:
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.1)
                continue
        return True
    return False
