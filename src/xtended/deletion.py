"""Which files a delete or a purge takes away; the taking is `changes.carry_out`'s."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from xtended.access import Rule, require_dags
from xtended.airflow_host.base import AuditEntry, KnownDag
from xtended.api import Call
from xtended.auditing import audit_event
from xtended.changes import Change, carry_out
from xtended.dagstore.names import check_path
from xtended.outcomes import Outcome
from xtended.problems import Conflict, FileDefinesOtherDags, FolderNotOurs, NotFound
from xtended.services import Services

DELETE = "delete_dag"
# What it takes to take away what a request does not name file by file.
PURGE_RULE = Rule("all", "DELETE")


def delete(
    call: Call, dag_id: str | None, path: str | None, *, message: str, force: bool, dry_run: bool
) -> Outcome:
    """Delete a DAG's file and the records of every DAG in it; at least one of `dag_id`, `path` is given.

    Raises NotFound, Conflict (of any kind), Forbidden.
    """
    catalogue = call.services.host.catalogue
    known = catalogue.find([dag_id]).get(dag_id) if dag_id is not None else None
    path = _file_of(call, dag_id, known, path)
    if path is None or not call.services.store().exists(path):
        return _delete_record(call, dag_id, known, path, dry_run=dry_run)
    others = sorted(
        dag.dag_id for dag in catalogue.in_files([path]) if not dag.stale and dag.dag_id != dag_id
    )
    if known is not None and known.stale and others:
        # The file goes on without this DAG.
        return _delete_record(call, dag_id, known, path, dry_run=dry_run)
    if dag_id is not None and others and not force:
        raise FileDefinesOtherDags(
            f"{path!r} defines other DAGs too: {', '.join(others)}; set force to delete them with it.",
            dag_ids=others,
            existing_file=path,
        )
    change = Change(
        DELETE,
        deletes=frozenset({path}),
        message=message,
        force=True,
        dry_run=dry_run,
        forget_dags=True,
    )
    return carry_out(call, change)


def _file_of(call: Call, dag_id: str | None, known: KnownDag | None, path: str | None) -> str | None:
    """The file to delete, by Airflow's own record where it has one."""
    if known is None:
        if path is None:
            raise NotFound(f"DAG {dag_id!r} is not known to Airflow.")
        return path
    if known.path is None:
        raise FolderNotOurs(f"DAG {dag_id!r} comes from bundle {known.bundle!r}, which is not changed here.")
    if path is not None and path != known.path and not known.stale:
        raise Conflict(
            f"DAG {dag_id!r} is defined by {known.path!r}, not by {path!r}.", existing_file=known.path
        )
    return path or known.path


def _delete_record(
    call: Call, dag_id: str | None, known: KnownDag | None, path: str | None, *, dry_run: bool
) -> Outcome:
    """The file is gone, or defines the DAG no longer: what is left to delete is Airflow's record of it."""
    if known is None or dag_id is None:
        raise NotFound(f"There is no file {path!r} in the DAG folder.")
    require_dags(call.services.host.identity, call.rule, call.user, [dag_id])
    if not dry_run:
        with call.services.host.transaction() as transaction:
            transaction.delete_dag(dag_id)
            # Airflow shows an entry of a DAG only while it knows the DAG.
            details = {"deleted": [], "dag_ids": [dag_id]}
            transaction.audit(AuditEntry(audit_event(DELETE), call.user, (), details))
    return Outcome.of_records(dry_run=dry_run, removed=[dag_id])


def purge(call: Call, *, message: str, dry_run: bool) -> Outcome:
    """Empty the DAG folder but for what `.airflowignore` and `purge_keep` name. Raises Unavailable."""
    if not dry_run:
        # So that the revision before the purge is the folder as it was, whoever made it so.
        call.services.store().recover()
    change = Change(
        "purge_dags", deletes=purgeable(call.services), message=message, force=True, dry_run=dry_run
    )
    return carry_out(call, change)


def missing(call: Call, folder: str | None, *, but: Collection[str]) -> frozenset[str]:
    """The files below `folder` that a purge would take and `but` lacks; takes the right to a purge.

    Raises Forbidden, BadName.
    """
    require_dags(call.services.host.identity, PURGE_RULE, call.user, ())
    above = "" if folder is None else f"{check_path(folder.removesuffix('/'))}/"
    return frozenset(path for path in purgeable(call.services, but=but) if path.startswith(above))


def purgeable(services: Services, *, but: Collection[str] = ()) -> frozenset[str]:
    """The files of the DAG folder that nothing says to keep, `but` left out."""
    store = services.store()
    keep = services.settings.purge_keep
    return frozenset(
        path
        for path in store.list()
        if path not in but
        and not store.ignored(path)
        and not any(fnmatchcase(path, pattern) for pattern in keep)
    )
