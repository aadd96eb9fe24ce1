"""What the history of the DAG folder tells a caller, who sees nothing of DAGs that they may not read."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from xtended.access import require_dags
from xtended.api import Call
from xtended.changes import Change, carry_out
from xtended.dagstore import LiveFile, Revision, check_path
from xtended.outcomes import Outcome
from xtended.problems import BadRequest, NotFound


class Sight:
    """What a caller may see, by the rule of the operation that they call.

    A file is seen by whoever may read every DAG that it defines, or once defined; a file of no DAG, which any DAG
    may use, by whoever may read all.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self.everything = self._may(None)
        self._dags: dict[str, bool] = {}

    def dag(self, dag_id: str) -> bool:
        """Whether the caller may read this DAG."""
        if self.everything:
            return True
        if dag_id not in self._dags:
            self._dags[dag_id] = self._may(dag_id)
        return self._dags[dag_id]

    def paths(self, paths: Collection[str]) -> Collection[str]:
        """Those of these files that the caller sees."""
        if self.everything:
            return paths
        dags = self.dags_in(paths)
        return {path for path, found in dags.items() if all(self.dag(dag_id) for dag_id in found)}

    def dags_in(self, paths: Collection[str]) -> dict[str, set[str]]:
        """The DAGs of these files, by the history and by Airflow's record; none for files without DAGs."""
        services = self._call.services
        found = {path: set(dags) for path, dags in services.store().dags_of(paths).items()}
        for dag in services.host.catalogue.in_files(paths):
            if dag.path is not None:
                found.setdefault(dag.path, set()).add(dag.dag_id)
        return found

    def _may(self, dag_id: str | None) -> bool:
        rule = self._call.rule
        return self._call.services.host.identity.may(self._call.user, rule.method, rule.entity, dag_id)


def revisions(
    call: Call, path: str | None, dag_id: str | None, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of revisions as the spec's Revision, and the cursor of the next. Raises BadRequest, BadName."""
    place = None if path is None else check_path(path)
    page = call.services.store().revisions(cursor=cursor, limit=limit, path=place, dag_id=dag_id)
    sight = Sight(call)
    touched = {path for each in page.revisions for path in (*each.added, *each.changed, *each.deleted)}
    seen = frozenset(sight.paths(touched))
    shown = [_shown(each, sight, seen) for each in page.revisions]
    return [each for each in shown if each is not None], page.next_cursor


def revision(call: Call, identity: str) -> dict[str, Any]:
    """The spec's Revision. Raises NotFound, also where the caller may see nothing of it."""
    found = call.services.store().revision(identity)
    sight = Sight(call)
    seen = frozenset(sight.paths([*found.added, *found.changed, *found.deleted]))
    shown = _shown(found, sight, seen)
    if shown is None:
        raise NotFound(f"There is no revision {identity[:64]!r} of a file that you may see.")
    return shown


def diff(call: Call, identity: str, against: str | None, path: str | None) -> str:
    """Unified text. Raises NotFound, BadName."""
    place = None if path is None else check_path(path)
    return call.services.store().diff(identity, against=against, path=place, visible=Sight(call).paths)


def files(call: Call, folder: str | None) -> list[dict[str, Any]]:
    """The spec's LiveFiles, sorted by path. Raises BadName."""
    below = "" if folder is None else f"{check_path(folder)}/"
    live = [file for file in call.services.store().files() if file.path.startswith(below)]
    seen = Sight(call).paths({file.path for file in live})
    return [_described(file) for file in live if file.path in seen]


def file(call: Call, path: str) -> dict[str, Any]:
    """The spec's LiveFile with its content. Raises NotFound, Forbidden, TooLarge, BadName."""
    name = check_path(path)
    sight = Sight(call)
    if not sight.everything:
        require_dags(call.services.host.identity, call.rule, call.user, sight.dags_in([name]).get(name, ()))
    found, content = call.services.store().file(name, call.services.max_file_bytes)
    try:
        encoding, text = "utf-8", content.decode("utf-8")
    except UnicodeDecodeError:
        encoding, text = "base64", base64.b64encode(content).decode("ascii")
    return {**_described(found), "encoding": encoding, "content": text}


def rollback(
    call: Call,
    identity: str,
    path: str | None,
    dag_id: str | None,
    *,
    message: str,
    force: bool,
    unpause: bool,
    otf_sync: bool,
    dry_run: bool,
) -> Outcome:
    """Bring the folder, or the part of it that is named, back to a revision. Raises as `carry_out`, NotFound."""
    if path is not None and dag_id is not None:
        raise BadRequest("Send either path or dag_id, or none of them for the whole folder.")
    place = None if path is None else check_path(path)
    store = call.services.store()
    if not dry_run:
        # Of files that a rollback takes away, the last state stays, whoever made it.
        store.recover()
    target = store.rollback(identity, path=place, dag_id=dag_id)
    change = Change(
        "rollback",
        puts=target.puts,
        deletes=target.deletes,
        executable=target.executable,
        message=message or f"to {store.revision(identity).id}",
        replace=True,
        force=force,
        unpause=unpause,
        otf_sync=otf_sync,
        dry_run=dry_run,
    )
    return carry_out(call, change)


def _described(file: LiveFile) -> dict[str, Any]:
    return dataclasses.asdict(file)


def _shown(found: Revision, sight: Sight, seen: frozenset[str]) -> dict[str, Any] | None:
    touched = {*found.added, *found.changed, *found.deleted}
    files = {
        kind: [path for path in paths if path in seen]
        for kind, paths in (("added", found.added), ("changed", found.changed), ("deleted", found.deleted))
    }
    if not sight.everything and not touched & seen:
        return None
    return {
        "id": found.id,
        "parent": found.parent,
        "time": datetime.fromtimestamp(found.time, UTC).isoformat(),
        "user": found.author,
        "operation": found.operation,
        # Without a reason of the user's, it names the files.
        "message": found.message if touched <= seen else "",
        "files": files,
        "dag_ids": [dag_id for dag_id in found.dags if sight.dag(dag_id)],
    }
