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
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(instance.pid)
        family = [first, *first.children(recursive=True)]
    return lambda: any(_lives(process) for process in family)


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
    """Raises StillEnding where one of these has been ended lately and its process goes on."""
    since = datetime.now(UTC) - _LATELY
    ending = [one for one in instances if _ended_after(one, since) and _has_its_process(one)]
    if ending:
        raise StillEnding(filter(None, map(watch, ending)))


def _ended_after(instance: Instance, moment: datetime) -> bool:
    return instance.state in _ENDED and instance.end_date is not None and instance.end_date > moment


def _has_its_process(instance: Instance) -> bool:
    """Whether the try's process lives on this machine; not one that has got its number since."""
    if instance.pid is None or instance.end_date is None or instance.hostname != get_hostname():
        return False
    try:
        process = psutil.Process(instance.pid)
        return _lives(process) and process.create_time() < instance.end_date.timestamp()
    except psutil.NoSuchProcess:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        # `is_running` tells a process from a later one of the same number.
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
