"""Files of any type, below the DAG folder or below a folder that the operator allows."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from xtended.access import require_dags
from xtended.airflow_host.base import AuditEntry
from xtended.api import Call, Upload
from xtended.auditing import audit_event, few
from xtended.changes import Change, carry_out
from xtended.dagstore.changes import ChangeSet
from xtended.incoming import from_upload
from xtended.outcomes import Outcome
from xtended.problems import Forbidden

UPLOAD = "upload_file"


def upload(
    call: Call, file: Upload, path: str | None, *, message: str, force: bool, dry_run: bool
) -> tuple[Outcome, str]:
    """Store a file; answers the outcome and the path to show. Raises Forbidden outside the allowed roots."""
    root, folder = _place(call, path)
    files = from_upload(call.services, file, folder)
    (name,) = files
    if root is None:
        change = Change(UPLOAD, puts=files, message=message, force=force, dry_run=dry_run)
        return carry_out(call, change), call.services.shown(name)
    # Beside the DAG folder a file belongs to no DAG, so to all of them.
    require_dags(call.services.host.identity, call.rule, call.user, ())
    store = call.services.store_at(root)
    shown = f"/{root.name}/{name}"
    with store.stage(ChangeSet(files), force=force, if_match=call.if_match) as staged:
        if dry_run:
            return Outcome.of_files(staged, None, dry_run=True), shown
        with (
            store.apply(
                staged,
                author=call.user.name,
                operation=UPLOAD,
                message=message,
                request_key=call.request_key,
            ) as revision,
            call.services.host.transaction() as transaction,
        ):
            details = {**few({"added": staged.added, "changed": staged.changed}), "root": root.name}
            transaction.audit(AuditEntry(audit_event(UPLOAD), call.user, (), details))
        return Outcome.of_files(staged, revision, dry_run=False), shown


def _place(call: Call, path: str | None) -> tuple[Path | None, str | None]:
    """The root that `path` lies below (None: the DAG folder) and the folder below it."""
    if path is None or not path.startswith("/"):
        return None, path
    wanted = PurePosixPath(path)
    for root in (call.services.store().root, *call.services.upload_roots()):
        if wanted.is_relative_to(root):
            below = wanted.relative_to(root).as_posix()
            folder = None if below == "." else below
            return (None if root == call.services.store().root else root), folder
    raise Forbidden(f"{path!r} is not below a folder that [xtended_api] upload_roots allows.")
