"""Parses one DAG file as Airflow 3's DAG processor does; loaded into the warm parser, never into a web worker."""

from __future__ import annotations

import contextlib
import functools
import importlib.machinery
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import airflow.providers.standard.operators.bash
import airflow.providers.standard.operators.empty
import airflow.providers.standard.operators.python  # noqa: F401
import structlog
from airflow import settings
from airflow.configuration import conf
from airflow.dag_processing.processor import DagFileProcessorProcess, _parse_file_entrypoint
from airflow.utils.file import get_unique_dag_module_name
from uuid6 import uuid7

from xtended.airflow_host.airflow3.lookups import Lookups
from xtended.airflow_host.base import ParsedDag, ParsedFile
from xtended.airflow_host.import_problems import ProblemReader
from xtended.airflow_host.relocation import Relocation

TICK = 0.1
"""Seconds between two looks at what a DAG file is up to."""

EXIT_GRACE = 1.0
"""Seconds that a file's process may take to end once it has answered."""

TRACEBACK_DEPTH = 50
"""Frames of a traceback to keep: Airflow's default of 2 hides the line of the DAG file behind a library's."""


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
    file = root / path
    deadline = started + min([timeout, *_airflows_own_limits(live_root / path)])
    process = DagFileProcessorProcess.start(
        id=uuid7(),
        path=os.fspath(file),
        bundle_path=root,
        bundle_name=bundle_name,
        dag_file_rel_path=path,
        callbacks=[],
        target=functools.partial(_child, root, live_root, memory_bytes),
        logger=_silent_logger(),
        logger_filehandle=io.BytesIO(),
        client=Lookups(),
    )
    try:
        exit_code = _wait(process, deadline, tick)
    finally:
        _kill(process)
    problems = ProblemReader(live_root, memory_bytes, [Path(conf.get("core", "dags_folder")).parent])
    result = process.parsing_result
    seconds = time.monotonic() - started
    if result is None:
        return ParsedFile(path, (), (problems.ended(path, exit_code),), (), seconds)
    relocation = Relocation.of_tree(root, live_root, module_names=_module_names(path, root, live_root))
    found = relocation.apply(
        {
            "dags": [dag.data for dag in result.serialized_dags],
            "errors": result.import_errors or {},
            "warnings": result.warnings or [],
        }
    )
    return ParsedFile(
        path=path,
        dags=tuple(ParsedDag(data["dag"]["dag_id"], data) for data in found["dags"]),
        import_problems=tuple(
            problems.read(os.path.relpath(at, live_root) if os.path.isabs(at) else at, text)
            for at, text in found["errors"].items()
        ),
        warnings=tuple(found["warnings"]),
        seconds=seconds,
    )


def _airflows_own_limits(file: Path) -> list[float]:
    """Seconds that the DAG processor gives a file: one that is slower would be lost at its next parse."""
    limits = [settings.get_dagbag_import_timeout(os.fspath(file))]
    limits.append(conf.getfloat("dag_processor", "dag_file_processor_timeout"))
    return [limit for limit in limits if limit > 0]


def _wait(process: DagFileProcessorProcess, deadline: float, tick: Callable[[], None]) -> int:
    """Serve the process until it has answered and ended; its exit code. Raises TimeoutError."""
    answered = None
    while True:
        exit_code = process._service_subprocess(max_wait_time=TICK)
        if exit_code is not None and not process._open_sockets:
            return int(exit_code)
        now = time.monotonic()
        if process.parsing_result is not None:
            answered = answered or now
            if now > answered + EXIT_GRACE:
                return 0
        elif now > deadline:
            raise TimeoutError
        elif exit_code is not None and now > (process._process_exit_monotonic or now) + EXIT_GRACE:
            # A descendant of it holds the channel open.
            return int(exit_code)
        tick()


def _kill(process: DagFileProcessorProcess) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process._exit_code is None:
            os.kill(process.pid, signal.SIGKILL)
    process.close()


def _module_names(path: str, root: Path, live_root: Path) -> dict[str, str]:
    """Airflow names a DAG file's module by a hash of its path, and operators defined in the file by that."""
    return {
        get_unique_dag_module_name(os.fspath(root / path)): get_unique_dag_module_name(
            os.fspath(live_root / path)
        )
    }


@functools.cache
def _silent_logger() -> Any:
    return structlog.wrap_logger(structlog.ReturnLogger(), processors=[_drop])


def _drop(logger: object, method: str, event: object) -> Any:
    raise structlog.DropEvent


def _child(root: Path, live_root: Path, memory_bytes: int) -> None:
    """The file's own process, from here to its end: limits first, then Airflow's own entry point."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _address_space() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _silence()
    _read_sources_afresh((root, live_root))
    if root != live_root:
        _move_dag_folder(root, live_root)
    conf.set("core", "dagbag_import_error_tracebacks", "True")
    conf.set("core", "dagbag_import_error_traceback_depth", str(TRACEBACK_DEPTH))
    # The deadline is kept from outside, where DAG code can't catch it.
    settings.get_dagbag_import_timeout = lambda dag_file_path: 0
    _parse_file_entrypoint()


def _address_space() -> int:
    """Bytes of this process's address space."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
    except OSError:
        return 2**40
    return int(pages) * resource.getpagesize()


def _silence() -> None:
    """Lead every descriptor but the channel to the supervisor (0) to /dev/null: output, logs, other connections."""
    null = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/dev/fd"):
        if int(name) not in (0, null):
            with contextlib.suppress(OSError):
                os.fstat(int(name))
                os.dup2(null, int(name), inheritable=int(name) < 3)


def _read_sources_afresh(folders: tuple[Path, ...]) -> None:
    """Never take a module of the DAG folder from a .pyc: one of the same second may be of other source."""
    prefixes = tuple(f"{folder}/" for folder in folders)
    loader = importlib.machinery.SourceFileLoader
    path_stats = loader.path_stats

    def no_stats(self: importlib.machinery.SourceFileLoader, path: str) -> Any:
        if path.startswith(prefixes):
            raise OSError("read the source")
        return path_stats(self, path)

    loader.path_stats = no_stats  # type: ignore[method-assign]
    for entry in list(sys.path_importer_cache):
        if f"{entry}/".startswith(prefixes):
            del sys.path_importer_cache[entry]


def _move_dag_folder(root: Path, live_root: Path) -> None:
    """Whoever asks for the DAG folder is to see it as it will be."""
    sys.path[:] = [os.fspath(root) if entry == os.fspath(live_root) else entry for entry in sys.path]
    if settings.DAGS_FOLDER == os.fspath(live_root):
        settings.DAGS_FOLDER = os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = os.fspath(root)
