"""Parses one DAG file as Airflow 3's DAG processor does. Loaded into the warm parser, never elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import airflow.models.dagwarning  # noqa: F401  (Airflow imports it late, once for every file)
import msgspec
import psutil
import structlog
from airflow import settings
from airflow.configuration import conf
from airflow.dag_processing.processor import DagFileParsingResult, DagFileProcessorProcess
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task
from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.sdk.execution_time.supervisor import PsutilTracker, length_prefixed_frame_reader
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.utils.file import get_unique_dag_module_name
from uuid6 import uuid7

from xtended.airflow_host.airflow3 import parse_child
from xtended.airflow_host.airflow3.lookups import Lookups
from xtended.airflow_host.base import ImportProblem, ParsedDag, ParsedFile
from xtended.airflow_host.import_problems import SENSELESS, ProblemReader
from xtended.airflow_host.parse_order import Order, limit_answer
from xtended.airflow_host.relocation import Relocation

TICK = 0.1
"""Seconds between two looks at what a DAG file is up to."""

EXIT_GRACE = 1.0
"""Seconds that a file's process may take to end once it has cut itself off."""


class FileProcess(DagFileProcessorProcess):
    """A `dagparse.supervisor.FileProcess`: Airflow's handling of a DAG file's process, with its own fork.

    Airflow's forwards output and logs; here they go nowhere, and it can be forked before its file is known.
    """

    @classmethod
    def fork(cls) -> FileProcess:
        """A process that waits for its file: a `dagparse.supervisor.Backend`."""
        theirs, ours = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            parse_child.run(theirs, parent)
        theirs.close()
        return cls(
            id=uuid7(),
            pid=pid,
            stdin=ours,
            process=PsutilTracker(psutil.Process(pid)),
            process_log=_SILENT,
            logger_filehandle=io.BytesIO(),
            client=Lookups(),  # type: ignore[arg-type]
            bundle_name="",
            dag_file_rel_path="",
        )

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
        try:
            limit_answer(memory_bytes)
            # A process that has been killed while it waited is noticed below.
            with contextlib.suppress(BrokenPipeError):
                order.send(self.stdin)
            exit_code = self._serve(deadline, tick)
        except (msgspec.MsgspecError, MemoryError):
            senseless = ImportProblem(path, None, SENSELESS, SENSELESS)
            return ParsedFile(path, (), (senseless,), (), time.monotonic() - started)
        finally:
            self._end()
        result = self.parsing_result
        if result is None:
            ended = problems.ended(path, exit_code)
            return ParsedFile(path, (), (ended,), (), time.monotonic() - started)
        relocation = Relocation.of_tree(root, live_root, module_names=_module_names(path, root, live_root))
        dags = [relocation.apply(dag.data) for dag in result.serialized_dags]
        errors = relocation.apply(result.import_errors or {})
        return ParsedFile(
            path=path,
            dags=tuple(ParsedDag.of(dag["dag"]["dag_id"], dag) for dag in dags),
            import_problems=tuple(
                problems.read(_relative(at, live_root), text) for at, text in errors.items()
            ),
            warnings=tuple(relocation.apply(result.warnings or [])),
            seconds=time.monotonic() - started,
        )

    def _serve(self, deadline: float, tick: Callable[[], None]) -> int:
        """Serve the process until it has answered or ended; its exit code. Raises TimeoutError."""
        self._open_sockets[self.stdin] = "requests"
        reader = length_prefixed_frame_reader(self.handle_requests(_SILENT), on_close=self._on_socket_closed)
        self.selector.register(self.stdin, selectors.EVENT_READ, reader)
        while self._open_sockets and self._exit_code is None:
            self._service_subprocess(max_wait_time=TICK)
            if self.parsing_result is not None:
                return 0
            if time.monotonic() > deadline:
                raise TimeoutError
            tick()
        if self._exit_code is None:
            with contextlib.suppress(psutil.TimeoutExpired):
                self._exit_code = self._process.wait(EXIT_GRACE)
        return int(self._exit_code or 0)

    def _end(self) -> None:
        """Kill what is left of the process and of its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.close()
        self.selector.close()


def _drop(logger: object, method: str, event: object) -> NoReturn:
    raise structlog.DropEvent


_SILENT = structlog.wrap_logger(structlog.ReturnLogger(), processors=[_drop])


def _airflows_own_limits(file: Path) -> list[float]:
    """Seconds that the DAG processor gives a file: one that is slower would be lost at its next parse."""
    limits = [settings.get_dagbag_import_timeout(os.fspath(file))]
    limits.append(conf.getfloat("dag_processor", "dag_file_processor_timeout"))
    return [limit for limit in limits if limit > 0]


def _relative(at: str, live_root: Path) -> str:
    """Airflow keys the errors of a zip's modules by absolute path, all others by path in the DAG folder."""
    return Path(at).relative_to(live_root).as_posix() if Path(at).is_relative_to(live_root) else at


def _module_names(path: str, root: Path, live_root: Path) -> dict[str, str]:
    """Airflow names a DAG file's module by a hash of its path, and operators defined in the file by that."""
    name, live_name = (get_unique_dag_module_name(os.fspath(base / path)) for base in (root, live_root))
    return {name: live_name}


def _rehearse() -> None:
    """Go once through what every DAG file goes through, so that no child has to import it again."""
    with DAG("rehearsal", schedule="@daily", start_date=datetime(2020, 1, 1, tzinfo=UTC)) as dag:
        bash = BashOperator(task_id="bash", bash_command="true")
        python = PythonOperator(task_id="python", python_callable=_rehearse)
        bash >> python >> EmptyOperator(task_id="empty") >> task(_rehearse)()
    dag.validate()
    dag.check_cycle()
    serialized = LazyDeserializedDAG(data=DagSerialization.to_dict(dag))
    DagFileParsingResult(fileloc="rehearsal.py", serialized_dags=[serialized]).model_dump()
    DagContext.autoregistered_dags.clear()


_rehearse()
