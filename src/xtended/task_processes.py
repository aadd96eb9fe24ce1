"""A process of its own for one task's code: started, followed line by line, and ended in time."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xtended.airflow_host.task_orders import TaskOrder
from xtended.dagparse import processes
from xtended.problems import Unavailable

MOST_AT_A_TIME = 4
"""In one web process: each has Airflow loaded, which takes some 200 MB."""

BEAT_SECONDS = 1.0
"""How long whoever follows a silent process is left alone: to see that nobody listens takes a chance to."""

PATIENCE_SECONDS = 30.0
"""How long nobody may ask for the next line: some servers never say that their client has gone."""

GRACE_SECONDS = 5.0
"""From being asked to end to being ended, for a task's own cleaning up."""

LONGEST_LINE = 64 * 1024
# The web server says by this variable what its own code may do.
_PROCESS_CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"

_slots = threading.BoundedSemaphore(MOST_AT_A_TIME)


@dataclass(frozen=True)
class Ending:
    """How it ended. `exit_code` is None, and negative for a signal, where it was ended; times are in seconds."""

    exit_code: int | None
    seconds: float
    timed_out: bool
    result: Mapping[str, Any]


class TaskProcess:
    """Carries out one order. Iterate over `lines()` to its end; `ending` is there then.

    `module` is run as a program, in `home`. `cleanup` is called once, when the process is gone, whatever
    became of it, and of whoever follows it. Raises Unavailable where too many run.
    """

    def __init__(
        self, module: str, order: TaskOrder, home: Path, timeout: float, cleanup: Callable[[], None]
    ) -> None:
        if not _slots.acquire(blocking=False):
            cleanup()
            raise Unavailable(
                f"{MOST_AT_A_TIME} tasks are being executed for other requests; try again.",
                headers={"Retry-After": "5"},
            )
        self.ending: Ending | None = None
        self._told = b""
        self._asked = time.monotonic()
        self._left = threading.Event()
        self._claimed = False
        self._claiming = threading.Lock()
        self._cleanup = cleanup
        self._started = time.monotonic()
        self._deadline = self._started + timeout
        environment = {name: value for name, value in os.environ.items() if name != _PROCESS_CONTEXT}
        self._result, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-u", "-m", module, str(theirs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=home,
                env={**environment, "PYTHONUNBUFFERED": "1"},
                pass_fds=[theirs],
                start_new_session=True,
            )
        except BaseException:
            os.close(self._result)
            self._release()
            raise
        finally:
            os.close(theirs)
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        # One that has ended already says so by its exit code.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(order.encode())
            self._process.stdin.flush()
        threading.Thread(target=self._watch, name="xtended-task-watch", daemon=True).start()

    def lines(self) -> Iterator[str | None]:
        """What it writes, line by line as it comes, and None now and then where nothing comes."""
        finished = False
        try:
            # Whoever never asks for a line must let go of a generator that has begun, which tidies up.
            yield None
            yield from self._follow()
            finished = self._claim()
        finally:
            if finished:
                self._finish()
            else:
                # Nobody listens any more, and this may be a thread that must not wait.
                self._left.set()

    def _follow(self) -> Iterator[str | None]:
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - it is a pipe
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stream.fileno(), selectors.EVENT_READ)
            selector.register(self._result, selectors.EVENT_READ)
            while not self._claimed and selector.get_map():
                if (left := self._deadline - time.monotonic()) <= 0:
                    break
                self._asked = time.monotonic()
                ready = selector.select(min(left, BEAT_SECONDS))
                if not ready:
                    if self._process.poll() is not None:
                        break  # what it has started may hold its output open
                    yield None
                for key, _ in ready:
                    if self._claimed:
                        return
                    data = os.read(key.fd, LONGEST_LINE)
                    if not data:
                        selector.unregister(key.fd)
                    elif key.fd == self._result:
                        self._told += data
                    else:
                        *complete, pending = (pending + data).split(b"\n")
                        yield from (line.decode(errors="replace") for line in complete)
                        if len(pending) >= LONGEST_LINE:
                            yield pending.decode(errors="replace")
                            pending = b""
        if pending:
            yield pending.decode(errors="replace")

    def _finish(self) -> None:
        """The process has closed its output or run out of time."""
        timed_out = False
        try:
            self._process.wait(max(self._deadline - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            timed_out = True
            self._end(GRACE_SECONDS)
        result = json.loads(self._told) if self._told and not timed_out else {}
        # What it leaves behind would go on in nobody's name.
        self._kill_group()
        self._close()
        exit_code = None if timed_out else self._process.returncode
        self.ending = Ending(exit_code, time.monotonic() - self._started, timed_out, result)

    def _claim(self) -> bool:
        """Whether it is the caller's to end this: only once it is anybody's."""
        with self._claiming:
            mine = not self._claimed
            self._claimed = True
        return mine

    def _watch(self) -> None:
        """End it where whoever follows it has left, or does not come back."""
        while not self._left.wait(BEAT_SECONDS) and time.monotonic() - self._asked < PATIENCE_SECONDS:
            if self._claimed:
                return
        if self._claim():
            self._end(0)
            self._close()

    def _close(self) -> None:
        os.close(self._result)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._release()

    def _release(self) -> None:
        _slots.release()
        self._cleanup()

    def _end(self, grace: float) -> None:
        # An orphan in a session of its own is no longer found once its parent has ended.
        started = processes.descendants(self._process.pid)
        if grace:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        for pid in (*started, self._process.pid):
            processes.end(pid)
        self._kill_group()
        self._process.wait()

    def _kill_group(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
