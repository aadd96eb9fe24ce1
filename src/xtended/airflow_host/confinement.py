"""Confines the process that loads one DAG file, on either host: limits, silence, sources read afresh."""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import resource
import sys
from pathlib import Path
from typing import Any

from airflow import settings

TRACEBACK_DEPTH = 50
"""Frames of a traceback to keep: Airflow's default of 2 hides the line of the DAG file behind a library's."""


def detach(channel: int) -> None:
    """Keep nothing of what the parent has open but `channel`: no terminal, output, log, other connection."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for entry in list(Path("/dev/fd").iterdir()):
        if int(entry.name) not in (0, 1, 2, channel):
            with contextlib.suppress(OSError):
                os.close(int(entry.name))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS"] = "True"
    os.environ["AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH"] = str(TRACEBACK_DEPTH)
    # The deadline is kept from outside, where DAG code can't catch it.
    settings.get_dagbag_import_timeout = lambda dag_file_path: 0


def enter(root: Path, live_root: Path, memory_bytes: int) -> None:
    """Limit memory, and make `root` the DAG folder, for whoever asks, with its files read as they are now."""
    limit = _address_space() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _read_sources_afresh((root, live_root))
    if root != live_root:
        _move_dag_folder(root, live_root)


def _address_space() -> int:
    """Bytes of this process's address space."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
    except OSError:
        return 2**40
    return int(pages) * resource.getpagesize()


def _read_sources_afresh(folders: tuple[Path, ...]) -> None:
    """Never take a module of the DAG folder from a .pyc: one of the same second may be of other source."""
    prefixes = tuple(f"{folder}/" for folder in folders)
    loader: Any = importlib.machinery.SourceFileLoader
    path_stats = loader.path_stats

    def no_stats(self: importlib.machinery.SourceFileLoader, path: str) -> object:
        if path.startswith(prefixes):
            raise OSError("read the source")
        return path_stats(self, path)

    loader.path_stats = no_stats
    for entry in list(sys.path_importer_cache):
        if f"{entry}/".startswith(prefixes):
            del sys.path_importer_cache[entry]


def _move_dag_folder(root: Path, live_root: Path) -> None:
    live, moved = os.fspath(live_root), os.fspath(root)
    sys.path[:] = [moved if os.path.normpath(entry) == live else entry for entry in sys.path]
    if os.path.normpath(settings.DAGS_FOLDER) == live:
        settings.DAGS_FOLDER = os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = moved
