"""One parse request, in the process that the warm parser forks for it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

from xtended.airflow_host.base import ImportProblem, ParsedFile
from xtended.dagparse import processes
from xtended.dagparse.protocol import ParseRequest, encode, file_frame

MAX_PROCESSES = 64
"""Processes that one DAG file may have alive while it is loaded: subprocesses are fine, a fork bomb is not."""

LATE = 2.0
"""Seconds past a file's deadline after which the kernel ends a supervisor that is stuck, in a database call say."""


class Backend(Protocol):
    """Parses one file of a host's DAG folder in a process of its own; loaded into the warm parser."""

    def __call__(
        self,
        *,
        root: Path,
        live_root: Path,
        bundle_name: str,
        path: str,
        timeout: float,
        memory_bytes: int,
        tick: Callable[[], None],
    ) -> ParsedFile:
        """Parse `root/path`, answering as though it lay at `live_root/path`.

        Calls `tick` ten times a second or so while it waits, and lets what that raises through.
        Raises TimeoutError where the file needs more than `timeout` seconds.
        """
        ...


class TooManyProcesses(Exception):
    pass


class _Aborted(BaseException):
    """The client hung up, or the parser is told to end."""


def run(request: ParseRequest, connection: socket.socket, backend: Backend, parent: int) -> NoReturn:
    """Answer the request on `connection`, leave no process over, end. Call in a newly forked process."""
    status = 1
    try:
        signal.signal(signal.SIGTERM, _abort)
        processes.adopt_orphans()
        processes.die_with_parent(signal.SIGTERM, parent)
        _answer(request, connection, backend)
        status = 0
    except (_Aborted, OSError):
        # OSError: the client is gone, and with it the only one who could be told.
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        processes.end_descendants()
        os._exit(status)


def _abort(number: int, frame: object) -> None:
    raise _Aborted


def _answer(request: ParseRequest, connection: socket.socket, backend: Backend) -> None:
    connection.sendall(encode({"kind": "started"}))
    for path in request.paths:
        signal.setitimer(signal.ITIMER_REAL, request.timeout + LATE)
        try:
            frame = file_frame(_parse(request, path, backend))
        except TimeoutError:
            frame = {"kind": "timeout", "seconds": request.timeout}
        signal.setitimer(signal.ITIMER_REAL, 0)
        processes.end_descendants()
        connection.sendall(encode(frame))
    connection.sendall(encode({"kind": "done"}))


def _parse(request: ParseRequest, path: str, backend: Backend) -> ParsedFile:
    started = time.monotonic()
    try:
        return backend(
            root=Path(request.root),
            live_root=Path(request.live_root),
            bundle_name=request.bundle_name,
            path=path,
            timeout=request.timeout,
            memory_bytes=request.memory_bytes,
            tick=_check_processes,
        )
    except TooManyProcesses as error:
        problem = ImportProblem(file=path, line=None, message=str(error), stacktrace=str(error))
        return ParsedFile(path, (), (problem,), (), time.monotonic() - started)


def _check_processes() -> None:
    if len(processes.descendants(os.getpid())) > MAX_PROCESSES:
        raise TooManyProcesses(f"the file started more than {MAX_PROCESSES} processes while it was loaded")
