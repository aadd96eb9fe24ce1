"""Parses a DAG file as Airflow 2's DAG processor does. Loaded into the warm parser, not into a web worker."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import airflow.sensors.base  # noqa: F401  (DAG files import it, and nothing here does)
from airflow import DAG, Dataset, settings
from airflow.configuration import conf
from airflow.decorators import task
from airflow.operators.bash import BashOperator
from airflow.operators.empty import EmptyOperator
from airflow.serialization.serialized_objects import SerializedDAG
from airflow.utils import timezone
from airflow.utils.file import get_unique_dag_module_name

from xtended.airflow_host.airflow2 import parse_child
from xtended.airflow_host.base import ImportProblem, ParsedDag, ParsedFile
from xtended.airflow_host.import_problems import SENSELESS, ProblemReader
from xtended.airflow_host.parse_order import Order, limit_answer
from xtended.airflow_host.relocation import Relocation

TICK = 0.1
"""Seconds between two looks at what a DAG file is up to."""

EXIT_GRACE = 1.0
"""Seconds that a file's process may take to end once it has answered."""


class FileProcess:
    """A `dagparse.supervisor.FileProcess`: loads a file as Airflow 2 does, with its database in reach."""

    def __init__(self) -> None:
        theirs, self._channel = socket.socketpair()
        self._exit_code: int | None = None
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            parse_child.run(theirs, parent)
        theirs.close()

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
        started = time.monotonic()
        deadline = started + min([timeout, *_airflows_own_limits(live_root / path)])
        order = Order(os.fspath(root), os.fspath(live_root), bundle_name, path, memory_bytes)
        problems = ProblemReader(live_root, memory_bytes, [live_root.parent])
        dags: list[Mapping[str, Any]] = []
        try:
            limit_answer(memory_bytes)
            # A process that has been killed while it waited is noticed below.
            with contextlib.suppress(BrokenPipeError):
                order.send(self._channel)
            answer = self._answer(deadline, tick)
            if answer is None:
                found = [problems.ended(path, self._wait())]
            else:
                found_in = _relocation(path, root, live_root).apply(json.loads(answer))
                dags = found_in["dags"]
                found = [
                    problems.read(os.path.relpath(at, live_root), text)
                    for at, text in found_in["errors"].items()
                ]
            return ParsedFile(
                path=path,
                dags=tuple(ParsedDag.of(dag["dag"]["_dag_id"], dag) for dag in dags),
                import_problems=tuple(found),
                warnings=(),
                seconds=time.monotonic() - started,
            )
        except (ValueError, TypeError, LookupError, AttributeError, MemoryError):
            senseless = ImportProblem(path, None, SENSELESS, SENSELESS)
            return ParsedFile(path, (), (senseless,), (), time.monotonic() - started)
        finally:
            self._end()

    def _answer(self, deadline: float, tick: Callable[[], None]) -> bytes | None:
        """The JSON that the process sends, or None where it ends without. Raises TimeoutError."""
        received = bytearray()
        size = parse_child.LENGTH.size
        while True:
            if select.select([self._channel], [], [], TICK)[0]:
                data = self._receive()
                received += data
                if len(received) >= size:
                    (length,) = parse_child.LENGTH.unpack_from(received)
                    if len(received) >= size + length:
                        return bytes(received[size : size + length])
                if not data:
                    return None
            elif self._has_ended():
                # A descendant of it holds the channel open.
                return None
            if time.monotonic() > deadline:
                raise TimeoutError
            tick()

    def _receive(self) -> bytes:
        try:
            return self._channel.recv(2**20)
        except ConnectionError:
            return b""

    def _wait(self) -> int:
        """The exit code, negative for a signal, of a process that is about to end; 0 where it does not."""
        deadline = time.monotonic() + EXIT_GRACE
        while not self._has_ended() and time.monotonic() < deadline:
            time.sleep(0.001)
        return self._exit_code or 0

    def _has_ended(self) -> bool:
        if self._exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code is not None

    def _end(self) -> None:
        """Let the process end, and kill what is left of it and of its group."""
        self._channel.close()
        self._wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        if not self._has_ended():
            os.kill(self._pid, signal.SIGKILL)


def _airflows_own_limits(file: Path) -> list[float]:
    """Seconds that the DAG processor gives a file: one that is slower would be lost at its next parse."""
    limits = [settings.get_dagbag_import_timeout(os.fspath(file))]
    limits.append(conf.getfloat("core", "dag_file_processor_timeout"))
    return [limit for limit in limits if limit > 0]


def _relocation(path: str, root: Path, live_root: Path) -> Relocation:
    """Airflow names a DAG file's module by a hash of its path, and operators defined in the file by that."""
    name, live_name = (get_unique_dag_module_name(os.fspath(base / path)) for base in (root, live_root))
    return Relocation.of_tree(root, live_root, module_names={name: live_name})


def _rehearse() -> None:
    """Go once through what every DAG file goes through, so that no child has to import it again."""
    with DAG(
        "rehearsal", schedule=[Dataset("x://y")], start_date=timezone.utcnow(), params={"number": 1}
    ) as dag:
        bash = BashOperator(task_id="bash", bash_command="true")
        bash >> EmptyOperator(task_id="empty") >> task(_rehearse)()
    dag.validate()
    SerializedDAG.to_dict(dag)


_rehearse()
