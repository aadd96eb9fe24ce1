"""One parse request, in a process that the warm parser forks ahead of it.

A supervisor waits with a DAG file's process already forked, so that a request pays for neither of the two
forks. It starts the next file's process when it needs one, and leaves none behind.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

from xtended.airflow_host.base import ImportProblem, ParsedFile
from xtended.dagparse import processes
from xtended.dagparse.protocol import (
    MAX_FRAME,
    FrameTooLong,
    ParseRequest,
    encode,
    file_frame,
    receive_request,
)

MAX_PROCESSES = 64
"""Processes that a DAG file may have alive while it is loaded: subprocesses are fine, a fork bomb is not."""

LATE = 2.0
"""Seconds past a file's deadline when the kernel ends a supervisor that is stuck, in a database call say."""


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
        """Parse `root/path`, answering as though it lay at `live_root/path`; the process ends with it.

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
    """Wait on `orders` for a request, answer it, leave no process over, end.

    Call in a process newly forked by `parent`.
    """
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
    except (_Aborted, ConnectionError):
        # The client is gone, and with it the only one who could be told.
        pass
    except Exception as error:  # noqa: BLE001 - the process ends here
        _report(error)
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
        answer = _parse(request, path, file_process if number == 0 else backend())
        if processes.kill_descendants() > 1:
            processes.end_descendants()
        # The file's own process alone has been killed by now: the client need not wait until it is buried.
        connection.sendall(answer)
        processes.end_descendants()


def _parse(request: ParseRequest, path: str, file_process: FileProcess) -> bytes:
    started = time.monotonic()
    if not Path(request.root, path).is_file():
        return _problem(path, "there is no such file")
    signal.setitimer(signal.ITIMER_REAL, request.timeout + LATE)
    try:
        parsed = file_process.parse(
            root=Path(request.root),
            live_root=Path(request.live_root),
            bundle_name=request.bundle_name,
            path=path,
            timeout=request.timeout,
            memory_bytes=request.memory_bytes,
            tick=_check_processes,
        )
    except TimeoutError:
        return encode({"kind": "timeout", "seconds": round(time.monotonic() - started, 1)})
    except TooManyProcesses:
        return _problem(path, f"the file started more than {MAX_PROCESSES} processes while it was loaded")
    except Exception as error:  # noqa: BLE001 - the client is to know, whatever it is
        _report(error)
        return encode({"kind": "failed"})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        return encode(file_frame(parsed))
    except FrameTooLong:
        return _problem(path, f"the DAGs of the file need more than {MAX_FRAME // 2**20} MB when serialised")


def _problem(path: str, message: str) -> bytes:
    problem = ImportProblem(file=path, line=None, message=message, stacktrace=message)
    return encode(file_frame(ParsedFile(path, (), (problem,), (), 0.0)))


def _report(error: Exception) -> None:
    """Where in this code it failed. Not what with: the text of an error may hold DAG code."""
    where = "".join(traceback.format_tb(error.__traceback__))
    sys.stderr.write(f"A DAG file could not be parsed, because of {type(error).__qualname__}:\n{where}")
    sys.stderr.flush()


def _check_processes() -> None:
    if len(processes.descendants(os.getpid())) > MAX_PROCESSES:
        raise TooManyProcesses
