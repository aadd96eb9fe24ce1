"""What a change of DAG files leaves in Airflow's audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.identity import User
from xtended.dagstore.changes import Staged
from xtended.outcomes import Findings

NAMED = 50
"""Files, or DAGs, that one entry names. A sync of ten thousand would fill the database with its names, and MySQL
takes 64 KB of an entry. The revision has all of them."""


def audit_event(operation: str) -> str:
    """The name that an operation has in Airflow's audit log."""
    return f"xtended.{operation}"


def entries(
    user: User,
    operation: str,
    staged: Staged,
    findings: Findings,
    revision: str,
    *,
    forgotten: bool,
) -> Iterator[AuditEntry]:
    """An entry for each DAG that came, stayed or went, with its files; one of no DAG where there is none.

    Of DAGs that are `forgotten` there is one entry: Airflow shows an entry of a DAG only while it knows the DAG.
    """
    event = audit_event(operation)
    files = {"added": staged.added, "changed": staged.changed, "deleted": staged.deleted}
    dag_ids = sorted({*findings.defined, *findings.removed})
    if forgotten:
        yield AuditEntry(event, user, (), {"revision": revision, **few({**files, "dag_ids": dag_ids})})
        return
    if not dag_ids or sum(map(len, files.values())) <= NAMED:
        yield AuditEntry(event, user, tuple(dag_ids), {"revision": revision, **few(files)})
        return
    places = findings.places
    changes = {path: kind for kind, paths in files.items() for path in paths}
    for dag_id in dag_ids:
        path = places.get(dag_id)
        own = {changes[path]: [path]} if path in changes else {}
        yield AuditEntry(event, user, (dag_id,), {"revision": revision, **own})


def few(names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The names where they are few, and how many there are where they are not."""
    named = {kind: list(each[:NAMED]) for kind, each in names.items()}
    return named | {f"{kind}_count": len(each) for kind, each in names.items() if len(each) > NAMED}
