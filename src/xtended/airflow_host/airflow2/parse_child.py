"""The process of one DAG file: confined first, then Airflow's own loading, then the answer. Ends with it."""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from airflow import settings
from airflow.models.dagbag import DagBag
from airflow.serialization.serialized_objects import SerializedDAG

from xtended.airflow_host.confinement import TRACEBACK_DEPTH, detach, enter
from xtended.airflow_host.parse_order import Order, end_copies
from xtended.dagparse.processes import die_with_parent

LENGTH = struct.Struct("!Q")
"""What an answer starts with: how many bytes of JSON follow."""


def run(channel: socket.socket, parent: int) -> NoReturn:
    """Wait for an Order, load its file, send what it defines. Call in a process newly forked by `parent`."""
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent(signal.SIGKILL, parent)
        atexit._clear()
        detach(channel.fileno())
        logging.disable(logging.CRITICAL)
        # The file may read Variables: over a connection that no other process has.
        settings.configure_orm(disable_connection_pool=True)
        order = Order.receive(channel)
        enter(Path(order.root), Path(order.live_root), order.memory_bytes)
        if order.root not in sys.path:
            sys.path.append(order.root)
        own_pid = os.getpid()
        found = _load(os.path.join(order.root, order.path))  # noqa: PTH118 - Airflow takes text
        end_copies(own_pid)
        answer = json.dumps(found).encode()
        channel.sendall(LENGTH.pack(len(answer)) + answer)
        atexit._run_exitfuncs()
        status = 0
    finally:
        os._exit(status)


def _load(file: str) -> dict[str, Any]:
    """`dags`: serialised forms; `errors`: tracebacks by the file or zip member that they are of."""
    try:
        bag = DagBag(file, include_examples=False)
    except BaseException:  # noqa: BLE001 - SystemExit too: Airflow lets it end the process
        return {"dags": [], "errors": {file: traceback.format_exc(limit=-TRACEBACK_DEPTH)}}
    dags = []
    errors = dict(bag.import_errors)
    for dag in bag.dags.values():
        if dag.is_subdag:
            continue
        try:
            data = SerializedDAG.to_dict(dag)
            json.dumps(data)
        except Exception:  # noqa: BLE001 - whatever the DAG's own objects raise
            errors[dag.fileloc] = traceback.format_exc(limit=-TRACEBACK_DEPTH)
        else:
            dags.append(data)
    return {"dags": dags, "errors": errors}
