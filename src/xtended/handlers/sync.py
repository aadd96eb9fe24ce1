"""Have the DAG folder follow a bucket or a collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended.api import Accepted, Call, Lines
from xtended.collecting import Selection
from xtended.lasting import answered
from xtended.origins import mongo_source, s3_source, words
from xtended.repeating import done_once
from xtended.syncing import OpenSource, Sync, sync


def s3_sync(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any] | Lines | Accepted:
    return answered(
        call, "s3_sync", lambda call: _s3_sync(call, body=body), background=body.get("background", False)
    )


def mongo_sync(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any] | Lines | Accepted:
    return answered(
        call,
        "mongo_sync",
        lambda call: _mongo_sync(call, body=body),
        background=body.get("background", False),
    )


@done_once
def _s3_sync(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _sync(call, "s3_sync", "s3", body, lambda: s3_source(call.services, body))


@done_once
def _mongo_sync(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _sync(call, "mongo_sync", "mongo", body, lambda: mongo_source(call.services, body))


def _sync(
    call: Call, operation: str, kind: str, body: Mapping[str, Any], open_source: OpenSource
) -> Mapping[str, Any]:
    wanted = Sync(
        operation,
        Selection(words(body.get("include")), words(body.get("exclude"))),
        message=body.get("message", ""),
        skip_purge=body.get("skip_purge", False),
        skip_bad=body.get("on_error") == "skip",
        allow_empty=body.get("allow_empty", False),
        otf_sync=body.get("otf_sync", False),
        dry_run=body.get("dry_run", False),
    )
    done = sync(call, wanted, open_source)
    verb = "would be synced" if wanted.dry_run else "synced"
    return done.body(f"dag files {verb} from {kind}")
