"""The process of one DAG file: limits first, then Airflow's own loading, then the answer. Ends with it."""

from __future__ import annotations

import atexit
import contextlib
import importlib.machinery
import logging
import os
import pickle
import resource
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import structlog
from airflow import settings
from airflow.configuration import conf
from airflow.dag_processing.processor import DagFileParseRequest, ToDagProcessor, ToManager, _parse_file
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import CommsDecoder, ErrorResponse
from airflow.sdk.execution_time.supervisor import _reset_signals, block_orm_access
from pydantic import TypeAdapter

TRACEBACK_DEPTH = 50
"""Frames of a traceback to keep: Airflow's default of 2 hides the line of the DAG file behind a library's."""

# Made once, before the fork: each takes milliseconds.
_BODY: TypeAdapter[Any] = TypeAdapter(ToDagProcessor)
_ERROR: TypeAdapter[Any] = TypeAdapter(ErrorResponse)


@dataclass(frozen=True)
class Order:
    """A DAG file, `root/path`, to be loaded within a limit of memory and read as `live_root/path`."""

    root: Path
    live_root: Path
    bundle_name: str
    path: str
    memory_bytes: int

    def send(self, channel: socket.socket) -> None:
        """Tell a waiting process which file is its."""
        channel.sendall(pickle.dumps(self))


def run(channel: socket.socket) -> NoReturn:
    """Wait for an Order, load its file, send what it defines. Call in a newly forked process."""
    status = 1
    try:
        _reset_signals()
        atexit._clear()
        _detach(channel)
        _prepare_airflow()
        order = pickle.loads(channel.recv(2**16))
        _limit(order.memory_bytes)
        _enter(order.root, order.live_root)
        _load(channel, order)
        atexit._run_exitfuncs()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
    finally:
        os._exit(status & 0xFF)


def _detach(channel: socket.socket) -> None:
    """Keep nothing of the supervisor's but the channel: no terminal, no output, no log, no other connection."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for name in os.listdir("/dev/fd"):
        if int(name) > 2 and int(name) != channel.fileno():
            with contextlib.suppress(OSError):
                os.close(int(name))
    logging.disable(logging.CRITICAL)


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _address_space() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _address_space() -> int:
    """Bytes of this process's address space."""
    pages = Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()


def _prepare_airflow() -> None:
    # As Airflow's own entry point does: no database here, and none of the server's ways to secrets.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
    block_orm_access()
    conf.set("core", "dagbag_import_error_tracebacks", "True")
    conf.set("core", "dagbag_import_error_traceback_depth", str(TRACEBACK_DEPTH))
    # Time is kept by the supervisor, where DAG code can't stop the clock.
    settings.get_dagbag_import_timeout = lambda dag_file_path: 0
    set_handler = signal.signal

    def leave_segfaults(number: Any, handler: Any) -> Any:
        """Airflow's importer takes SIGSEGV over, which turns a crash into a loop that never ends."""
        return set_handler(number, signal.SIG_DFL if number == signal.SIGSEGV else handler)

    signal.signal = leave_segfaults


def _enter(root: Path, live_root: Path) -> None:
    """Make `root` the DAG folder, for whoever asks, and its files read as they are now."""
    _read_sources_afresh((f"{root}/", f"{live_root}/"))
    if root != live_root:
        old, new = os.fspath(live_root), os.fspath(root)
        sys.path[:] = [new if entry == old else entry for entry in sys.path]
        if old == settings.DAGS_FOLDER:
            settings.DAGS_FOLDER = os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = new


def _read_sources_afresh(folders: tuple[str, ...]) -> None:
    """Never take a module of the DAG folder from a .pyc: one of the same second may be of other source."""
    loader: Any = importlib.machinery.SourceFileLoader
    path_stats = loader.path_stats

    def no_stats(self: object, path: str) -> Any:
        if path.startswith(folders):
            raise OSError("read the source")
        return path_stats(self, path)

    loader.path_stats = no_stats
    for entry in list(sys.path_importer_cache):
        if f"{entry}/".startswith(folders):
            del sys.path_importer_cache[entry]


def _load(channel: socket.socket, order: Order) -> None:
    comms = CommsDecoder[ToDagProcessor, ToManager](socket=channel, body_decoder=_BODY, err_decoder=_ERROR)
    task_runner.SUPERVISOR_COMMS = comms
    request = DagFileParseRequest(
        file=os.fspath(order.root / order.path), bundle_path=order.root, bundle_name=order.bundle_name
    )
    result = _parse_file(request, structlog.get_logger(logger_name="task"))
    if result is not None:
        comms.send(result)
