"""What a change of DAG files showed when it was parsed, and what it did."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xtended.airflow_host.base import KnownDag, ParsedFile
from xtended.dagstore.changes import Staged
from xtended.dagstore.revisions import Revision


@dataclass(frozen=True)
class Findings:
    """What parsing a staged change showed, beside what Airflow knows about the files that it touches."""

    files: tuple[ParsedFile, ...]
    before: tuple[KnownDag, ...]

    @property
    def defined(self) -> list[str]:
        return sorted({dag.dag_id for file in self.files for dag in file.dags})

    @property
    def removed(self) -> list[str]:
        defined = set(self.defined)
        return sorted({dag.dag_id for dag in self.before if not dag.stale and dag.dag_id not in defined})

    @property
    def places(self) -> dict[str, str]:
        """The file of each DAG that comes, stays or goes with the change."""
        gone = {dag.dag_id: dag.path for dag in self.before if not dag.stale and dag.path is not None}
        return gone | {dag.dag_id: file.path for file in self.files for dag in file.dags}

    def of_no_dag(self, paths: Collection[str]) -> list[str]:
        """The paths that neither define a DAG now nor defined one before."""
        with_dags = {file.path for file in self.files if file.dags} | {dag.path for dag in self.before}
        return sorted(path for path in paths if path not in with_dags)


@dataclass(frozen=True)
class Outcome:
    """What a change did, or would do."""

    dry_run: bool
    added: Sequence[str]
    changed: Sequence[str]
    deleted: Sequence[str]
    defined: Sequence[str]
    removed: Sequence[str]
    known: Mapping[str, KnownDag]
    warnings: Sequence[str]
    revision: str | None

    @classmethod
    def of_files(cls, staged: Staged, revision: str | None, *, dry_run: bool) -> Outcome:
        """A change of files that define no DAG."""
        return cls(
            dry_run=dry_run,
            added=staged.added,
            changed=staged.changed,
            deleted=staged.deleted,
            defined=(),
            removed=(),
            known={},
            warnings=(),
            revision=revision,
        )

    @classmethod
    def of_revision(cls, revision: Revision, known: Mapping[str, KnownDag]) -> Outcome:
        """A change that was made before, as the history and Airflow's database have it."""
        gone = {*revision.deleted}
        removed = sorted(dag_id for dag_id, path in revision.dags.items() if path in gone)
        return cls(
            dry_run=False,
            added=revision.added,
            changed=revision.changed,
            deleted=revision.deleted,
            defined=sorted(revision.dags.keys() - {*removed}),
            removed=removed,
            known=known,
            warnings=(),
            revision=revision.id,
        )

    @classmethod
    def of_records(cls, *, dry_run: bool, removed: Sequence[str]) -> Outcome:
        """A change of Airflow's records alone."""
        return cls(
            dry_run=dry_run,
            added=(),
            changed=(),
            deleted=(),
            defined=(),
            removed=removed,
            known={},
            warnings=(),
            revision=None,
        )

    def body(self, message: str) -> dict[str, Any]:
        """The ChangeResult of the spec."""
        return {
            "status": "success",
            "message": message,
            "dry_run": self.dry_run,
            "dag_ids": list(self.defined),
            "dags": [self._dag_state(dag_id) for dag_id in self.defined],
            "removed_dag_ids": list(self.removed),
            "import_errors": [],
            "warnings": list(self.warnings),
            "files": {
                "added": list(self.added),
                "changed": list(self.changed),
                "deleted": list(self.deleted),
            },
            "revision": self.revision,
        }

    def _dag_state(self, dag_id: str) -> dict[str, Any]:
        known = self.known.get(dag_id)
        live = known is not None and not known.stale
        return {"dag_id": dag_id, "live": live, "paused": known.paused if known else None}
