"""Put DAG files on the server, replace them and take them away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from xtended import deletion, uploading
from xtended.api import Call, Upload
from xtended.changes import Change, carry_out, validate
from xtended.dagstore.names import check_path
from xtended.incoming import from_archive, from_code, from_upload, from_url
from xtended.problems import BadRequest
from xtended.repeating import done_once

DEPLOYED = (".py", ".zip")
FETCHED = (".py", ".pyc", ".zip")
CODE = (".py",)


@done_once
def deploy_dag(call: Call, body: Mapping[str, Any], dag_file: Upload) -> Mapping[str, Any]:
    files = from_upload(call.services, dag_file, body.get("path"), DEPLOYED)
    return _deploy(call, "deploy_dag", files, body)


@done_once
def deploy_dag_from_url(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    files = from_url(
        call.services, body["filename"], FETCHED, url=body["dag_file_url"], sha256=body.get("sha256")
    )
    return _deploy(call, "deploy_dag_from_url", files, body)


def deploy_dag_by_get(call: Call, **query: Any) -> Mapping[str, Any]:
    return deploy_dag_from_url(call, body=query)


@done_once
def create_dag(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    files = from_code(call.services, body["filename"], body["dag_code"], CODE)
    return _deploy(call, "create_dag", files, body)


@done_once
def deploy_archive(call: Call, body: Mapping[str, Any], archive: Upload) -> Mapping[str, Any]:
    folder = body.get("path") or None
    files = from_archive(call.services, archive, folder)
    change = _change("deploy_archive", files, body)
    if body.get("delete_missing"):
        change = replace(change, deletes=deletion.missing(call, folder, but=files))
    outcome = carry_out(call, change)
    place = call.services.shown(check_path(folder.removesuffix("/"))) if folder else call.services.shown("")
    verb = "would be" if change.dry_run else "have been"
    return outcome.body(f"{len(files)} file(s) {verb} deployed to [{place}]")


def _deploy(
    call: Call, operation: str, files: Mapping[str, bytes], options: Mapping[str, Any]
) -> Mapping[str, Any]:
    (path,) = files
    # A .pyc is a module beside the DAGs: it is never loaded as one.
    change = replace(_change(operation, files, options), dags_expected=not path.endswith(".pyc"))
    outcome = carry_out(call, change)
    verb = "would be" if change.dry_run else "has been"
    module = f"<module '{PurePosixPath(path).stem}' from '{call.services.shown(path)}'>"
    return outcome.body(f"DAG File [{module}] {verb} uploaded")


def _change(operation: str, files: Mapping[str, bytes], options: Mapping[str, Any]) -> Change:
    if options.get("pause") and options.get("unpause"):
        raise BadRequest("pause and unpause contradict each other: set one of them.")
    return Change(
        operation,
        puts=files,
        message=options.get("message", ""),
        force=options.get("force", False),
        pause=options.get("pause", False),
        unpause=options.get("unpause", False),
        otf_sync=options.get("otf_sync", False),
        dry_run=options.get("dry_run", False),
    )


def validate_dag(
    call: Call, body: Mapping[str, Any] | None = None, dag_file: Upload | None = None
) -> Mapping[str, Any]:
    fields = body or {}
    if (dag_file is None) is ("dag_code" not in fields):
        raise BadRequest("Send either dag_file, or dag_code with filename.")
    if dag_file is not None:
        files = from_upload(call.services, dag_file, fields.get("path"), DEPLOYED)
    elif "filename" in fields:
        files = from_code(call.services, fields["filename"], fields["dag_code"], CODE)
    else:
        raise BadRequest("dag_code needs a filename beside it.")
    (path,) = files
    verdict = validate(call, files)
    state = "is valid" if verdict["valid"] else "is not valid"
    return {"status": "success", "message": f"DAG File [{call.services.shown(path)}] {state}", **verdict}


@done_once
def upload_file(call: Call, body: Mapping[str, Any], file: Upload) -> Mapping[str, Any]:
    outcome, shown = uploading.upload(
        call,
        file,
        body.get("path"),
        message=body.get("message", ""),
        force=body.get("force", False),
        dry_run=body.get("dry_run", False),
    )
    verb = "would be" if outcome.dry_run else "has been"
    return outcome.body(f"File [{shown}] {verb} uploaded")


@done_once
def delete_dag(
    call: Call,
    dag_id: str | None = None,
    filename: str | None = None,
    *,
    message: str = "",
    force: bool = False,
    dry_run: bool = False,
) -> Mapping[str, Any]:
    if dag_id is None and filename is None:
        raise BadRequest("At least one of dag_id and filename is needed.")
    path = None if filename is None else check_path(filename)
    outcome = deletion.delete(call, dag_id, path, message=message, force=force, dry_run=dry_run)
    verb = "would be deleted" if dry_run else "deleted"
    return outcome.body(f"DAG [{dag_id or path}] {verb}")


@done_once
def purge_dags(call: Call, *, message: str = "", dry_run: bool = False) -> Mapping[str, Any]:
    outcome = deletion.purge(call, message=message, dry_run=dry_run)
    return outcome.body("DAG directory would be purged" if dry_run else "DAG directory purged!!")


# The older GET forms differ in the spec alone: deprecated, and without the session cookie.
delete_dag_by_get = delete_dag
purge_dags_by_get = purge_dags
