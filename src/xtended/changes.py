"""The one way a request changes DAG files: stage, parse, authorise, commit, publish.

A change is prepared aside and checked as a whole before anything is live. Files and database change
together: where the database refuses, the files are put back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from xtended.access import require_dags
from xtended.airflow_host.base import ImportProblem, KnownDag, ParsedFile
from xtended.api import Call
from xtended.auditing import entries as audit_entries
from xtended.dagparse.client import ParseTree
from xtended.dagstore.changes import ChangeSet, Staged
from xtended.dagstore.names import DAG_SUFFIXES
from xtended.dagstore.store import DagStore
from xtended.outcomes import Findings, Outcome
from xtended.problems import Conflict, DagInvalid, DagOwnedElsewhere, ParseTimeout
from xtended.progress import Watch, unwatched
from xtended.services import Services


@dataclass(frozen=True)
class Change:
    """What a request asks for. Paths are relative to the DAG folder."""

    operation: str
    puts: Mapping[str, bytes] = field(default_factory=dict)
    deletes: frozenset[str] = frozenset()
    executable: frozenset[str] = frozenset()
    message: str = ""
    force: bool = False
    # For paths that the caller did not name one by one: replace files, unless other hands changed them last.
    replace: bool = False
    pause: bool = False
    unpause: bool = False
    otf_sync: bool = False
    dry_run: bool = False
    # What it means for a Python file or zip to define no DAG: `deploy_dag` promises one, an upload does not.
    dags_expected: bool = False
    # Refuse to take over DAGs of files that stay, even where files are replaced by force.
    owners_stay: bool = False
    # Files that are nothing but data of a DAG file in the same change, with the path of that.
    data_of: Mapping[str, str] = field(default_factory=dict)
    # Whether DAGs of deleted files leave Airflow's database too, or are just marked stale.
    forget_dags: bool = False


def carry_out(call: Call, change: Change) -> Outcome:
    """Do what `change` says, or raise a Problem and leave folder, history and database as they were."""
    services = call.services
    store = services.store()
    store.check_writable()
    if change.dags_expected:
        check_seen(store, change.puts)
    change_set = ChangeSet(change.puts, change.deletes, change.executable)
    with store.stage(
        change_set, force=change.force, replace=change.replace, if_match=call.if_match
    ) as staged:
        findings = examine(services, store, staged, call.watch)
        check_valid(findings, dags_expected=change.dags_expected)
        authorise(call, staged, findings, change.data_of)
        if change.owners_stay or not change.force:
            advice = "" if change.owners_stay else "; set force to take over"
            check_owners(services, staged, findings, advice)
        if change.dry_run:
            return _outcome(services, change, staged, findings, revision=None)
        revision = _commit(call, store, change, staged, findings)
    call.watch("applied", len(staged.added) + len(staged.changed) + len(staged.deleted))
    return _outcome(services, change, staged, findings, revision)


def check_seen(store: DagStore, paths: Collection[str]) -> None:
    """Raise Conflict where Airflow would never look at one of these files."""
    hidden = [path for path in paths if store.ignored(path)]
    if hidden:
        raise Conflict(f"{hidden[0]!r} is named by an .airflowignore file: Airflow would not load it.")


def validate(call: Call, files: Mapping[str, bytes]) -> dict[str, Any]:
    """What these files would define and what is wrong with them; changes nothing."""
    services = call.services
    store = services.store()
    with store.stage(ChangeSet(files), force=True) as staged:
        findings = examine(services, store, staged)
        authorise(call, staged, findings)
        taken = conflicting(services, staged, findings)
    problems = [problem.public() for file in findings.files for problem in file.import_problems]
    problems = problems or _without_dags(findings)
    return {
        "valid": not problems,
        "dag_ids": findings.defined,
        "import_errors": problems,
        "conflicts": sorted(dag.dag_id for dag in taken),
    }


def examine(services: Services, store: DagStore, staged: Staged, watch: Watch = unwatched) -> Findings:
    """Parse what is new in a staged change.

    Raises ParserUnavailable, and ParseTimeout where there is one file alone; among several, one that takes too
    long is one more that does not parse.
    """
    touched = [*staged.added, *staged.changed, *staged.deleted, *staged.unchanged]
    to_parse = [
        path
        for path in (*staged.added, *staged.changed, *staged.unchanged)
        if path.endswith(DAG_SUFFIXES) and not store.ignored(path)
    ]
    tree = ParseTree(staged.tree_root, store.root, services.host.bundle_name())
    files = _parse(services, tree, to_parse, watch)
    before = services.host.catalogue.in_files(touched) if touched else []
    return Findings(tuple(files), tuple(before))


def _parse(services: Services, tree: ParseTree, paths: Sequence[str], watch: Watch) -> list[ParsedFile]:
    files: list[ParsedFile] = []
    if not paths:
        return files
    with closing(services.parser.outcomes(tree, paths)) as outcomes:
        for number, outcome in enumerate(outcomes, start=1):
            if not isinstance(outcome, ParseTimeout):
                files.append(outcome)
            elif len(paths) > 1:
                files.append(timed_out(outcome, services.parser.timeout))
            else:
                raise outcome
            watch("parsed", number)
    return sorted(files, key=lambda file: file.path)


def timed_out(problem: ParseTimeout, seconds: float) -> ParsedFile:
    """A file that took too long, as one that does not parse."""
    path = problem.extra["file"]
    failure = ImportProblem(path, None, problem.detail, problem.detail)
    return ParsedFile(path, (), (failure,), (), seconds)


def check_valid(findings: Findings, *, dags_expected: bool) -> None:
    """Raise DagInvalid unless every file loads, and defines a DAG where one is expected."""
    problems = [problem for file in findings.files for problem in file.import_problems]
    if problems:
        names = ", ".join(sorted({repr(problem.file) for problem in problems}))
        raise DagInvalid(
            f"{names} does not parse: {problems[0].message}",
            import_errors=[problem.public() for problem in problems],
        )
    empty = _without_dags(findings)
    if dags_expected and empty:
        raise DagInvalid(
            f"{empty[0]['file']!r} defines no DAG; upload_file takes files that need not define one.",
            import_errors=empty,
        )
    seen: dict[str, str] = {}
    for file in findings.files:
        for dag in file.dags:
            if seen.setdefault(dag.dag_id, file.path) != file.path:
                raise DagOwnedElsewhere(
                    f"DAG {dag.dag_id!r} is defined by both {seen[dag.dag_id]!r} and {file.path!r}.",
                    dag_ids=[dag.dag_id],
                )


def _without_dags(findings: Findings) -> list[dict[str, Any]]:
    """The files in which no DAG was found, as import errors."""
    return [
        {"file": file.path, "line": None, "message": "The file defines no DAG."}
        for file in findings.files
        if not file.dags
    ]


def authorise(
    call: Call, staged: Staged, findings: Findings, data_of: Mapping[str, str] | None = None
) -> None:
    """Raise Forbidden unless the user has the rule's right on every DAG that the change touches.

    A file that defines no DAG may be imported by any, so it takes the right on all of them; but for the data of a
    DAG file, where it is new or was that file's before.
    """
    identity = call.services.host.identity
    touched = {*findings.defined, *(dag.dag_id for dag in findings.before)}
    if touched:
        require_dags(identity, call.rule, call.user, touched)
    known = {dag.path for dag in findings.before}
    data = {path for path, file in (data_of or {}).items() if path in staged.added or file in known}
    files = {*staged.added, *staged.changed, *staged.deleted, *staged.unchanged} - data
    if findings.of_no_dag(files):
        require_dags(identity, call.rule, call.user, ())


def conflicting(services: Services, staged: Staged, findings: Findings) -> list[KnownDag]:
    """The DAGs that the change would define although another live file defines them already."""
    touched = {*staged.added, *staged.changed, *staged.deleted, *staged.unchanged}
    known = services.host.catalogue.find(findings.defined).values()
    store = services.store()
    return [
        dag
        for dag in known
        if not dag.stale and dag.path not in touched and (dag.path is None or store.exists(dag.path))
    ]


def check_owners(services: Services, staged: Staged, findings: Findings, advice: str) -> None:
    """Raise DagOwnedElsewhere, naming the DAGs and their files."""
    taken = conflicting(services, staged, findings)
    if taken:
        places = ", ".join(
            f"{dag.dag_id!r} by {dag.path!r}" if dag.path else f"{dag.dag_id!r} by bundle {dag.bundle!r}"
            for dag in taken
        )
        raise DagOwnedElsewhere(
            f"Already defined elsewhere: {places}{advice}.",
            dag_ids=[dag.dag_id for dag in taken],
            existing_file=taken[0].path,
        )


def _commit(call: Call, store: DagStore, change: Change, staged: Staged, findings: Findings) -> str:
    publish = change.otf_sync or change.pause or change.unpause
    with (
        store.apply(
            staged,
            author=call.user.name,
            operation=change.operation,
            message=change.message,
            dag_ids=findings.places,
            request_key=call.request_key,
        ) as revision,
        call.services.host.transaction() as transaction,
    ):
        if publish:
            # A DAG that is not in the database yet can't be paused or unpaused, so that publishes it as well.
            transaction.publish(findings.files)
        if not change.otf_sync:
            transaction.request_parse([file.path for file in findings.files])
        if change.pause or change.unpause:
            transaction.set_paused(findings.defined, paused=change.pause)
        touched = [*staged.added, *staged.changed, *staged.deleted, *staged.unchanged]
        if change.forget_dags:
            for dag in findings.before:
                transaction.delete_dag(dag.dag_id)
        transaction.retire(touched, keep=findings.defined)
        for entry in audit_entries(
            call.user, change.operation, staged, findings, revision, forgotten=change.forget_dags
        ):
            transaction.audit(entry)
    return revision


def _outcome(
    services: Services, change: Change, staged: Staged, findings: Findings, revision: str | None
) -> Outcome:
    return Outcome(
        dry_run=change.dry_run,
        added=staged.added,
        changed=staged.changed,
        deleted=staged.deleted,
        defined=findings.defined,
        removed=findings.removed,
        known=services.host.catalogue.find(findings.defined),
        warnings=[str(warning.get("message", "")) for file in findings.files for warning in file.warnings],
        revision=revision,
    )
