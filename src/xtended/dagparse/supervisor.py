"""One parse request, in a process that the warm parser forks ahead of it.

A supervisor waits with a DAG file's process already forked, so that a request pays for neither of the two forks.
It starts the next file's process when it needs one, and leaves none behind.
"""

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
from xtended.dagparse.protocol import ParseRequest, encode, file_frame, receive_request

MAX_PROCESSES = 64
"""Processes that one DAG file may have alive while it is loaded: subprocesses are fine, a fork bomb is not."""

LATE = 2.0
"""Seconds past a file's deadline after which the kernel ends a supervisor that is stuck, in a database call say."""


class FileProcess(Protocol):
    """A process that waits for the one DAG file that it will load."""

    def parse(
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
        """Parse `root/path`, answering as though it lay at `live_root/path`. The process has ended afterwards.

        Calls `tick` ten times a second or so while it waits, and lets what that raises through.
        Raises TimeoutError where the file needs more than `timeout` seconds.
        """
        ...


class Backend(Protocol):
    """What a host brings to parse its DAG files; loaded into the warm parser."""

    def __call__(self) -> FileProcess:
        """Fork a process that waits for its file."""
        ...


class TooManyProcesses(Exception):
    pass


class _Aborted(BaseException):
    """The client hung up, or the parser is told to end."""


def run(orders: socket.socket, backend: Backend, parent: int) -> NoReturn:
    """Wait on `orders` for a request, answer it, leave no process over, end. Call in a newly forked process."""
    status = 1
    try:
        signal.signal(signal.SIGTERM, _abort)
        processes.adopt_orphans()
        processes.die_with_parent(signal.SIGTERM, parent)
        file_process = backend()
        order = receive_request(orders)
        orders.close()
        if order is not None:
            _answer(*order, file_process, backend)
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


def _answer(
    request: ParseRequest, connection: socket.socket, file_process: FileProcess, backend: Backend
) -> None:
    connection.setblocking(True)
    connection.sendall(encode({"kind": "started"}))
    for number, path in enumerate(request.paths):
        signal.setitimer(signal.ITIMER_REAL, request.timeout + LATE)
        try:
            frame = file_frame(_parse(request, path, file_process if number == 0 else backend()))
        except TimeoutError:
            frame = {"kind": "timeout", "seconds": request.timeout}
        signal.setitimer(signal.ITIMER_REAL, 0)
        processes.end_descendants()
        connection.sendall(encode(frame))
    connection.sendall(encode({"kind": "done"}))


def _parse(request: ParseRequest, path: str, file_process: FileProcess) -> ParsedFile:
    started = time.monotonic()
    try:
        return file_process.parse(
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
