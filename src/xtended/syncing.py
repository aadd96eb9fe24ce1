"""Have the DAG folder follow a source: fetch what it lacks, then change all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from xtended.access import require_dags
from xtended.airflow_host.base import ImportProblem
from xtended.api import Call
from xtended.changes import Change, carry_out
from xtended.collecting import Collection as Collected
from xtended.collecting import Selection, collect
from xtended.dagstore.changes import ChangeSet
from xtended.deletion import PURGE_RULE, purgeable
from xtended.outcomes import Outcome
from xtended.problems import DagInvalid, EntriesInvalid, ParseTimeout, SourceEmpty
from xtended.sources.base import Source
from xtended.synced import Remembered

OpenSource = Callable[[], AbstractContextManager[Source]]

_NAMED_FAILURES = 3


@dataclass(frozen=True)
class Sync:
    """What a request asks for beside its source.

    `skip_purge` keeps the files that the source lacks, `skip_bad` leaves out what can't be taken where it would
    otherwise change nothing, `allow_empty` takes a source without files for what the folder is to be.
    """

    operation: str
    selection: Selection = field(default_factory=Selection)
    message: str = ""
    skip_purge: bool = False
    skip_bad: bool = False
    allow_empty: bool = False
    otf_sync: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Synced:
    """What a sync found in its source, and what it did."""

    collected: Collected
    outcome: Outcome

    def body(self, message: str) -> dict[str, Any]:
        """The SyncResult of the spec."""
        failures = self.collected.failures
        changed = bool(self.outcome.added or self.outcome.changed or self.outcome.deleted)
        return {
            **self.outcome.body(message if changed else f"{message}; nothing has changed"),
            "import_errors": [failure.public() for failure in failures],
            "sync_status": {
                "synced": self.collected.synced,
                "failed": [f"{failure.file}: {failure.message}" for failure in failures],
            },
            "unchanged": len(self.collected.unchanged),
        }


def sync(call: Call, wanted: Sync, open_source: OpenSource) -> Synced:
    """Raises what `collect` and `carry_out` raise, EntriesInvalid, SourceEmpty."""
    services = call.services
    services.store().check_writable()
    if not wanted.skip_purge:
        require_dags(services.host.identity, PURGE_RULE, call.user, ())
    remembered = Remembered.load(services.synced_file())
    with open_source() as source:
        collected = collect(
            services, source, wanted.selection, remembered, call.watch, published=wanted.otf_sync
        )
    if collected.failures and not (wanted.skip_bad and collected.synced):
        raise _invalid(collected.failures)
    if not collected.synced and not wanted.allow_empty:
        raise SourceEmpty(
            "The source holds no file that was asked for. Nothing was changed; set allow_empty where that is meant."
        )
    outcome = _change(call, wanted, collected)
    if not wanted.dry_run:
        remembered.keep(collected.facts(published=wanted.otf_sync), gone=outcome.deleted)
    return Synced(collected, outcome)


def _change(call: Call, wanted: Sync, collected: Collected) -> Outcome:
    """Bring it into the folder; what does not parse is left out where that is wanted, and the rest tried again."""
    while True:
        deletes = frozenset() if wanted.skip_purge else _doomed(call, collected)
        if not collected.puts and not deletes:
            # Nothing to do, but for what the request says of the folder.
            with call.services.store().stage(ChangeSet(), force=True, if_match=call.if_match):
                return Outcome.of_records(dry_run=wanted.dry_run, removed=())
        change = Change(
            wanted.operation,
            puts=collected.puts,
            deletes=deletes,
            message=wanted.message,
            force=True,
            owners_stay=True,
            otf_sync=wanted.otf_sync,
            dry_run=wanted.dry_run,
        )
        try:
            return carry_out(call, change)
        except (DagInvalid, ParseTimeout) as problem:
            bad = _bad_files(problem, collected.puts)
            if not wanted.skip_bad or not bad or not collected.synced:
                raise
            for path, message in bad.items():
                collected.fail(path, message)
            if not collected.synced:
                raise


def _doomed(call: Call, collected: Collected) -> frozenset[str]:
    kept = {*collected.synced, *(failure.file for failure in collected.failures)}
    return purgeable(call.services, but=kept)


def _bad_files(problem: DagInvalid | ParseTimeout, puts: Mapping[str, bytes]) -> dict[str, str]:
    """The first thing that is wrong with each file that does not parse."""
    if isinstance(problem, ParseTimeout):
        return {path: problem.detail for path in puts if path == problem.extra["file"]}
    found: dict[str, str] = {}
    for error in problem.extra["import_errors"]:
        for path in puts:
            # The file of an error in an archive is a member of it.
            if error["file"] == path or error["file"].startswith(f"{path}/"):
                found.setdefault(path, error["message"])
    return found


def _invalid(failures: Sequence[ImportProblem]) -> EntriesInvalid:
    named = " ".join(failure.message for failure in failures[:_NAMED_FAILURES])
    more = f" And {len(failures) - _NAMED_FAILURES} more." if len(failures) > _NAMED_FAILURES else ""
    return EntriesInvalid(
        f"{named}{more} Nothing was changed.",
        import_errors=[failure.public() for failure in failures],
    )
