"""Sources of syncs that are kept under a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import saved_sources
from xtended.api import Call
from xtended.saved_sources import SavedSource


def list_sync_sources(call: Call) -> Mapping[str, Any]:
    found = saved_sources.every(call)
    return {
        "status": "success",
        "message": f"{len(found)} source(s)",
        "sync_sources": [source.public() for source in found],
    }


def create_sync_source(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = {key: value for key, value in body.items() if key not in ("name", "kind")}
    return _shown("saved", saved_sources.add(call, body["name"], body["kind"], fields))


def get_sync_source(call: Call, name: str) -> Mapping[str, Any]:
    return _shown("found", saved_sources.get(call, name))


def update_sync_source(call: Call, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _shown("updated", saved_sources.update(call, name, body))


def delete_sync_source(call: Call, name: str) -> Mapping[str, Any]:
    return _shown("deleted", saved_sources.remove(call, name))


def _shown(verb: str, source: SavedSource) -> Mapping[str, Any]:
    message = f"sync source {source.name} {verb}"
    return {"status": "success", "message": message, "sync_source": source.public()}
