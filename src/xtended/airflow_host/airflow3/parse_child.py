"""The process of one DAG file: confined first, then Airflow's own loading, then the answer. Ends with it."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import structlog
from airflow.dag_processing.processor import (
    DagFileParseRequest,
    DagFileParsingResult,
    ToDagProcessor,
    _parse_file,
)
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import CommsDecoder, ErrorResponse
from airflow.sdk.execution_time.supervisor import _reset_signals, block_orm_access
from pydantic import TypeAdapter

from xtended.airflow_host.confinement import TRACEBACK_DEPTH, detach, enter
from xtended.airflow_host.parse_order import Order, end_copies
from xtended.dagparse.processes import die_with_parent

# Made once, before the fork: each takes milliseconds.
_BODY: TypeAdapter[Any] = TypeAdapter(ToDagProcessor)
_ERROR: TypeAdapter[Any] = TypeAdapter(ErrorResponse)


def run(channel: socket.socket, parent: int) -> NoReturn:
    """Wait for an Order, load its file, send what it defines. Call in a process newly forked by `parent`."""
    status = 1
    try:
        _reset_signals()
        die_with_parent(signal.SIGKILL, parent)
        atexit._clear()
        detach(channel.fileno())
        logging.disable(logging.CRITICAL)
        _prepare_airflow()
        order = Order.receive(channel)
        enter(Path(order.root), Path(order.live_root), order.memory_bytes)
        _load(channel, order)
        status = 0
    finally:
        os._exit(status)


def _prepare_airflow() -> None:
    # As Airflow's own entry point does: no database here, and none of the server's ways to secrets.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
    block_orm_access()
    set_handler: Callable[..., object] = signal.signal

    def leave_segfaults(number: int, handler: object) -> object:
        """Airflow's importer takes SIGSEGV over, which turns a crash into a loop that never ends."""
        return set_handler(number, signal.SIG_DFL if number == signal.SIGSEGV else handler)

    signal.signal = leave_segfaults  # type: ignore[assignment]


def _load(channel: socket.socket, order: Order) -> None:
    comms = CommsDecoder[Any, Any](socket=channel, body_decoder=_BODY, err_decoder=_ERROR)
    task_runner.SUPERVISOR_COMMS = comms
    own_pid = os.getpid()
    file = Path(order.root, order.path)
    request = DagFileParseRequest(file=str(file), bundle_path=Path(order.root), bundle_name=order.bundle_name)
    try:
        result = _parse_file(request, structlog.get_logger(logger_name="task"))
        end_copies(own_pid)
        # What the file wants to clean up comes before the answer, because the answer is the end.
        atexit._run_exitfuncs()
        comms.send(result)
    except BaseException:  # noqa: BLE001 - whatever the file raises past Airflow is the file's problem
        end_copies(own_pid)
        error = traceback.format_exc(limit=-TRACEBACK_DEPTH)
        comms.send(
            DagFileParsingResult(fileloc=str(file), serialized_dags=[], import_errors={order.path: error})
        )
