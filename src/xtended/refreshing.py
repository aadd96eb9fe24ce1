"""Have Airflow's database follow the DAG folder: parse files as they are, publish what they define."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from xtended.access import require_dags
from xtended.airflow_host.base import AuditEntry, ImportProblem, ParsedFile
from xtended.api import Call
from xtended.changes import timed_out
from xtended.dagparse.client import ParseTree
from xtended.dagstore.names import DAG_SUFFIXES
from xtended.problems import ChangedMeanwhile, DagInvalid, FolderNotOurs, NotFound, ParseTimeout


@dataclass(frozen=True)
class Scan:
    """What a scan found. `removed` are the DAGs whose file is gone."""

    files: Sequence[ParsedFile]
    removed: Sequence[str]

    def body(self, message: str) -> Mapping[str, Any]:
        """The ScanResult of the spec."""
        problems = [problem for file in self.files for problem in file.import_problems]
        return {
            "status": "success",
            "message": message,
            "parsed": len(self.files),
            "failed": sorted({file.path for file in self.files if file.import_problems}),
            "dag_ids": sorted({dag.dag_id for file in self.files for dag in file.dags}),
            "removed_dag_ids": sorted(self.removed),
            "import_errors": [problem.public() for problem in problems],
        }


def scan(call: Call, *, publish: bool) -> Scan:
    """Parse every DAG file of the folder, and publish what was found or ask the DAG processor to look."""
    store = call.services.store()
    store.check_writable()
    paths = [path for path in store.list() if path.endswith(DAG_SUFFIXES) and not store.ignored(path)]
    before = {path: store.stamp(path) for path in paths}
    files = _parse_all(call, paths)
    owned = _with_owners(call, files)
    removed: list[str] = []
    details = {"parsed": len(files), "published": publish}
    with store.locked():
        # Asked before anything is written: a large change keeps every other connection from reading in SQLite.
        gone = _gone(call) if publish else set()
        with call.services.host.transaction() as transaction:
            if publish:
                # What was changed while it was being parsed has been published by whoever changed it.
                transaction.publish([file for file in owned if store.stamp(file.path) == before[file.path]])
                removed = transaction.retire(gone, keep=_defined(files))
            else:
                transaction.request_parse(paths)
            transaction.audit(AuditEntry("xtended.scan_dags", call.user, (), details))
    return Scan(_with_double_claims(files, owned), removed)


def _gone(call: Call) -> set[str]:
    """Files that Airflow has live DAGs or an import error of, and that are not there, or hidden, now."""
    store = call.services.store()
    catalogue = call.services.host.catalogue
    with_dags = {dag.path for dag in catalogue.in_files(None) if dag.path and not dag.stale}
    return {
        path for path in with_dags | catalogue.broken_files() if store.ignored(path) or not store.exists(path)
    }


def _with_owners(call: Call, files: Sequence[ParsedFile]) -> Sequence[ParsedFile]:
    """Each DAG in one file alone, as Airflow keeps one: the file that it is recorded in, else the first."""
    claims: dict[str, list[str]] = {}
    for file in files:
        for dag in file.dags:
            claims.setdefault(dag.dag_id, []).append(file.path)
    known = call.services.host.catalogue.find(
        [dag_id for dag_id, claimants in claims.items() if len(claimants) > 1]
    )
    owners = {
        dag_id: known[dag_id].path if dag_id in known and known[dag_id].path in claimants else claimants[0]
        for dag_id, claimants in claims.items()
    }
    return [
        replace(file, dags=tuple(dag for dag in file.dags if owners[dag.dag_id] == file.path))
        for file in files
    ]


def _with_double_claims(files: Sequence[ParsedFile], owned: Sequence[ParsedFile]) -> Sequence[ParsedFile]:
    """The files as they were parsed, each DAG that another file was given being named as a problem."""
    return [
        replace(
            file,
            import_problems=(
                *file.import_problems,
                *(
                    ImportProblem(file.path, None, f"DAG {dag.dag_id!r} is defined by another file too.")
                    for dag in file.dags
                    if dag not in kept.dags
                ),
            ),
        )
        for file, kept in zip(files, owned, strict=True)
    ]


def refresh(call: Call, dag_id: str) -> Scan:
    """Parse one DAG's file again and publish it. Raises NotFound, DagInvalid, Forbidden."""
    catalogue = call.services.host.catalogue
    known = catalogue.find([dag_id]).get(dag_id)
    if known is None:
        raise NotFound(f"DAG {dag_id!r} is not known to Airflow.")
    if known.path is None:
        raise FolderNotOurs(f"DAG {dag_id!r} comes from bundle {known.bundle!r}, which is not followed here.")
    store = call.services.store()
    if not store.exists(known.path):
        raise NotFound(f"The file of DAG {dag_id!r}, {known.path!r}, is not in the DAG folder.")
    before = [dag.dag_id for dag in catalogue.in_files([known.path])]
    require_dags(call.services.host.identity, call.rule, call.user, before)
    stamp = store.stamp(known.path)
    files = call.services.parser.parse(_tree(call), [known.path])
    require_dags(call.services.host.identity, call.rule, call.user, {dag_id, *_defined(files)})
    problems = [problem for file in files for problem in file.import_problems]
    if problems:
        raise DagInvalid(
            f"{known.path!r} does not parse: {problems[0].message}",
            import_errors=[problem.public() for problem in problems],
        )
    with store.locked(), call.services.host.transaction() as transaction:
        if store.stamp(known.path) != stamp:
            raise ChangedMeanwhile(
                f"{known.path!r} was changed while it was being parsed. Nothing was changed; try again.",
                changed_files=[known.path],
            )
        transaction.publish(files)
        removed = transaction.retire([known.path], keep=_defined(files))
        transaction.audit(AuditEntry("xtended.refresh_dag", call.user, (dag_id,), {"file": known.path}))
    return Scan(files, removed)


def _tree(call: Call) -> ParseTree:
    root = call.services.store().root
    return ParseTree(root, root, call.services.host.bundle_name())


def _parse_all(call: Call, paths: Sequence[str]) -> Sequence[ParsedFile]:
    """Every file, one that never ends being one more that failed."""
    parser = call.services.parser
    files: list[ParsedFile] = []
    if paths:
        with closing(parser.outcomes(_tree(call), paths)) as outcomes:
            for outcome in outcomes:
                files.append(
                    timed_out(outcome, parser.timeout) if isinstance(outcome, ParseTimeout) else outcome
                )
    return sorted(files, key=lambda file: file.path)


def _defined(files: Sequence[ParsedFile]) -> Collection[str]:
    return {dag.dag_id for file in files for dag in file.dags}
