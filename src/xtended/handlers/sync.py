"""Have the DAG folder follow a bucket or a collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import saved_sources
from xtended.api import Accepted, Call, Lines
from xtended.collecting import Selection
from xtended.lasting import answered
from xtended.origins import KINDS, words
from xtended.repeating import done_once
from xtended.syncing import Sync, sync

Result = Mapping[str, Any] | Lines | Accepted


def s3_sync(call: Call, body: Mapping[str, Any]) -> Result:
    return _answered(call, "s3_sync", "s3", body)


def mongo_sync(call: Call, body: Mapping[str, Any]) -> Result:
    return _answered(call, "mongo_sync", "mongo", body)


def sync_from_source(call: Call, name: str, **options: Any) -> Result:
    source = saved_sources.get(call, name)
    return _answered(call, "sync_from_source", source.kind, {**source.fields, **options})


def _answered(call: Call, operation: str, kind: str, fields: Mapping[str, Any]) -> Result:
    return answered(
        call,
        operation,
        lambda call: _sync(call, operation=operation, kind=kind, fields=fields),
        background=fields.get("background", False),
    )


@done_once
def _sync(call: Call, *, operation: str, kind: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = Sync(
        operation,
        Selection(words(fields.get("include")), words(fields.get("exclude"))),
        message=fields.get("message", ""),
        skip_purge=fields.get("skip_purge", False),
        skip_bad=fields.get("on_error") == "skip",
        allow_empty=fields.get("allow_empty", False),
        otf_sync=fields.get("otf_sync", False),
        dry_run=fields.get("dry_run", False),
    )
    done = sync(call, wanted, lambda: KINDS[kind].open(call.services, fields))
    verb = "would be synced" if wanted.dry_run else "synced"
    return done.body(f"dag files {verb} from {kind}")
