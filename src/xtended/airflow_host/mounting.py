"""How either host is told of what its web process mounts: when that asks, as every process loads plugins."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)


def on_demand(make: Callable[[], list[Any]]) -> property:
    """An attribute of an `AirflowPlugin` that is made when it is first asked for, and kept.

    Only the web process asks: no task, and no command, is to wait until all that it needs is imported. Whatever
    is wrong with that is in the log, and does not stop Airflow.
    """

    @functools.cache
    def made() -> list[Any]:
        try:
            return make()
        except Exception:
            log.exception("Airflow Xtended is not available")
            return []

    return property(lambda plugin: made())
