"""The seam for backfills: runs of a DAG for the logical dates of a range, made together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Reprocess = Literal["none", "failed", "completed"]


@dataclass(frozen=True)
class NewBackfill:
    """Runs to create for each logical date of the DAG's schedule from `start` to `end`, both included.

    `reprocess` says which existing runs are cleared and run again. `ends` is as in `NewRun`. `pool` is where
    their tasks run, or None for each task's own.
    """

    dag_id: str
    start: datetime
    end: datetime
    conf: Mapping[str, Any]
    user: str
    reprocess: Reprocess = "none"
    reverse: bool = False
    max_active_runs: int = 10
    pool: str | None = None
    ends: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class BackfillRun:
    """One logical date of a backfill. Without a run, `reason` says why: `already exists`, `in flight`, ..."""

    logical_date: datetime | None
    run_id: str | None = None
    state: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Backfill:
    """A backfill that there is. `id` is the host's own."""

    id: str
    dag_id: str
    state: Literal["running", "paused", "completed"]
    created_at: datetime | None
    completed_at: datetime | None
    runs: tuple[BackfillRun, ...]
