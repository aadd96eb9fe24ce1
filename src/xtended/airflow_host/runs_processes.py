"""Processes of tasks on this machine, found by what the database says of their tries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psutil
from airflow.utils.net import get_hostname

from xtended.airflow_host.runs import Instance

Alive = Callable[[], bool]

_ENDED = frozenset({"success", "failed", "skipped"})
# A process that takes longer to end than this has been left to itself by Airflow, too.
_LATELY = timedelta(minutes=2)
_LOOK_SECONDS = 0.1


def watch(instance: Instance) -> Alive | None:
    """`runs.Runs.watch_process`."""
    if instance.pid is None or instance.hostname != get_hostname():
        return None
    process = _process(instance.pid)
    return _family(process) if process is not None else lambda: False


class StillEnding(Exception):
    """Tries that are over by the database's word have processes that are not."""

    def __init__(self, alive: Iterable[Alive]) -> None:
        super().__init__("tries are still ending")
        self._alive = list(alive)

    def wait(self, deadline: float) -> None:
        """Until they are gone, or the monotonic clock is at `deadline`."""
        while any(alive() for alive in self._alive) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)


def require_ended(instances: Iterable[Instance]) -> None:
    """Raises StillEnding where one of these has been ended lately and its process on this machine goes on."""
    here, since = get_hostname(), datetime.now(UTC) - _LATELY
    ending = []
    for one in instances:
        if one.state not in _ENDED or one.end_date is None or one.end_date < since or one.hostname != here:
            continue
        process = None if one.pid is None else _process(one.pid)
        # A younger one has got its number since.
        if process is not None and process.create_time() < one.end_date.timestamp() and _lives(process):
            ending.append(_family(process))
    if ending:
        raise StillEnding(ending)


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _family(first: psutil.Process) -> Alive:
    family = [first]
    with suppress(psutil.NoSuchProcess):
        family += first.children(recursive=True)
    return lambda: any(_lives(process) for process in family)


def _lives(process: psutil.Process) -> bool:
    try:
        # `is_running` tells a process from a later one of the same number.
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
