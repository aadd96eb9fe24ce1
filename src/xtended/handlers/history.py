"""What was changed in the DAG folder, by whom, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import history
from xtended.api import Call
from xtended.repeating import done_once


def list_revisions(
    call: Call,
    path: str | None = None,
    dag_id: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Mapping[str, Any]:
    revisions, next_cursor = history.revisions(call, path, dag_id, limit, cursor)
    return {
        "status": "success",
        "message": f"{len(revisions)} revision(s)",
        "revisions": revisions,
        "next_cursor": next_cursor,
    }


def get_revision(call: Call, revision_id: str) -> Mapping[str, Any]:
    revision = history.revision(call, revision_id)
    return {
        "status": "success",
        "message": f"{revision['operation']} by {revision['user']}",
        "revision": revision,
    }


def diff_revision(
    call: Call, revision_id: str, against: str | None = None, path: str | None = None
) -> Mapping[str, Any]:
    text = history.diff(call, revision_id, against, path)
    return {
        "status": "success",
        "message": f"Revision {revision_id} against {against or 'the one before'}",
        "diff": text,
    }


def list_files(call: Call, folder: str | None = None) -> Mapping[str, Any]:
    files = history.files(call, folder)
    return {"status": "success", "message": f"{len(files)} file(s)", "files": files}


def get_file(call: Call, path: str) -> Mapping[str, Any]:
    file = history.file(call, path)
    return {"status": "success", "message": file["path"], **file}


@done_once
def rollback(
    call: Call,
    revision: str,
    path: str | None = None,
    dag_id: str | None = None,
    *,
    message: str = "",
    force: bool = False,
    unpause: bool = False,
    otf_sync: bool = False,
    dry_run: bool = False,
) -> Mapping[str, Any]:
    options = {"force": force, "unpause": unpause, "otf_sync": otf_sync, "dry_run": dry_run}
    outcome = history.rollback(call, revision, path, dag_id, message=message, **options)
    verb = "Would be rolled back" if dry_run else "Rolled back"
    return outcome.body(f"{verb} to {revision}")
