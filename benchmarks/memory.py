"""How much memory the web process takes while something goes on in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

SECONDS_BETWEEN = 0.25
MEGABYTE = 1024 * 1024
# What Airflow 3 and Airflow 2 call the processes that answer requests.
NAMES = ("api_server", "gunicorn: worker")


@dataclass
class Added:
    """Megabytes above what was there before, at the most so far."""

    peak: float = 0.0


@contextmanager
def watched() -> Iterator[Added]:
    """Look at the web processes among this process's descendants until the end of the block."""
    web = [process for process in psutil.Process().children(recursive=True) if _is_web(process)]
    before, added, over = _megabytes(web), Added(), threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS_BETWEEN):
            added.peak = max(added.peak, _megabytes(web) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield added
    finally:
        over.set()
        watcher.join()


def _is_web(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any(name in " ".join(process.cmdline()) for name in NAMES)
    return False


def _megabytes(processes: list[psutil.Process]) -> float:
    """Memory of their own: shared pages, such as a parent's before a fork, are nobody's."""
    return sum(process.memory_full_info().uss for process in processes) / MEGABYTE
