"""Parses one DAG file as Airflow 2's DAG processor does; loaded into the warm parser, never into a web worker."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import airflow.decorators
import airflow.operators.bash
import airflow.operators.empty
import airflow.operators.python
import airflow.sensors.base  # noqa: F401
from airflow import settings
from airflow.configuration import conf
from airflow.models.dagbag import DagBag
from airflow.serialization.serialized_objects import SerializedDAG
from airflow.utils.file import get_unique_dag_module_name

from xtended.airflow_host.base import ParsedDag, ParsedFile
from xtended.airflow_host.confinement import TRACEBACK_DEPTH, confine
from xtended.airflow_host.import_problems import ProblemReader
from xtended.airflow_host.relocation import Relocation

TICK = 0.1
"""Seconds between two looks at what a DAG file is up to."""

_LENGTH = struct.Struct("!Q")

MAX_RESULT = 256 * 2**20
"""Bytes of a file's serialised DAGs: what the parser's own protocol carries at most."""


def parse_file(
    *,
    root: Path,
    live_root: Path,
    bundle_name: str,
    path: str,
    timeout: float,
    memory_bytes: int,
    tick: Callable[[], None],
) -> ParsedFile:
    """A `dagparse.supervisor.Backend`: see there."""
    started = time.monotonic()
    process = _Process(root, live_root, path, memory_bytes)
    try:
        result = process.result(started + min([timeout, *_airflows_own_limits(live_root / path)]), tick)
        exit_code = process.end()
    finally:
        process.end()
    seconds = time.monotonic() - started
    problems = ProblemReader(live_root, memory_bytes, [live_root.parent])
    if result is None:
        return ParsedFile(path, (), (problems.ended(path, exit_code),), (), seconds)
    name = get_unique_dag_module_name(os.fspath(root / path))
    live_name = get_unique_dag_module_name(os.fspath(live_root / path))
    found = Relocation.of_tree(root, live_root, module_names={name: live_name}).apply(result)
    return ParsedFile(
        path=path,
        dags=tuple(ParsedDag(dag_id, data) for dag_id, data in found["dags"].items()),
        import_problems=tuple(
            problems.read(os.path.relpath(at, live_root), text) for at, text in found["errors"].items()
        ),
        warnings=(),
        seconds=seconds,
    )


def _airflows_own_limits(file: Path) -> list[float]:
    """Seconds that the DAG processor gives a file: one that is slower would be lost at its next parse."""
    limits = [settings.get_dagbag_import_timeout(os.fspath(file))]
    limits.append(conf.getfloat("core", "dag_file_processor_timeout"))
    return [limit for limit in limits if limit > 0]


class _Process:
    """The process that loads one file, and the pipe that its result comes through."""

    def __init__(self, root: Path, live_root: Path, path: str, memory_bytes: int) -> None:
        self._channel, other_end = os.pipe()
        self._exit_code: int | None = None
        self._pid = os.fork()
        if self._pid == 0:
            _child(root, live_root, path, memory_bytes, other_end)
        os.close(other_end)

    def result(self, deadline: float, tick: Callable[[], None]) -> Any:
        """What the process found, or None where it ended without an answer. Raises TimeoutError."""
        received = bytearray()
        while True:
            if select.select([self._channel], [], [], TICK)[0]:
                data = os.read(self._channel, 2**20)
                if not data:
                    return None
                received += data
                if answer := _whole(received):
                    return json.loads(answer)
            elif self._ended():
                # A descendant of it holds the pipe open.
                return None
            if time.monotonic() > deadline:
                raise TimeoutError
            tick()

    def _ended(self) -> bool:
        if self._exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code is not None
