"""Which DAGs there are, and what Airflow recorded when it parsed their files, as far as the caller may read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from xtended.airflow_host.base import ImportProblem, ListedDag
from xtended.airflow_host.import_problems import ProblemReader
from xtended.api import Call
from xtended.services import MEGABYTE


@dataclass(frozen=True)
class FileReport:
    """The last parse of one file. `parse_seconds` is None where the host does not keep it."""

    path: str
    bundle: str | None
    parse_seconds: float | None
    parsed_at: datetime | None
    dag_ids: tuple[str, ...]
    import_problems: tuple[ImportProblem, ...]


def readable_dags(call: Call, subdir: str | None = None) -> list[ListedDag]:
    """The DAGs, by id, that the caller may read; of one file or folder where `subdir` names it."""
    dags = [dag for dag in call.services.host.catalogue.listing() if _below(dag.path, subdir)]
    readable = _readable(call, (dag.dag_id for dag in dags))
    return [dag for dag in dags if dag.dag_id in readable]


def parse_report(call: Call, subdir: str | None = None) -> list[FileReport]:
    """The slowest file first; only files of which the caller may read every DAG."""
    host = call.services.host
    dags: dict[tuple[str | None, str], list[ListedDag]] = {}
    for dag in host.catalogue.listing():
        if dag.path is not None and _below(dag.path, subdir):
            dags.setdefault((dag.bundle, dag.path), []).append(dag)
    errors: dict[tuple[str | None, str], list[str]] = {}
    for error in host.catalogue.import_errors():
        if _below(error.path, subdir):
            errors.setdefault((error.bundle, error.path), []).append(error.traceback)
    readable = _readable(call, (dag.dag_id for found in dags.values() for dag in found))
    reads_all = host.identity.may(call.user, call.rule.method, call.rule.entity, None)
    reader = ProblemReader(
        host.dag_folder(), call.services.settings.parse_memory_mb * MEGABYTE, [host.home()]
    )
    reports = []
    for bundle, path in dags.keys() | errors.keys():
        defined = dags.get((bundle, path), [])
        if not (reads_all if not defined else all(dag.dag_id in readable for dag in defined)):
            continue
        reports.append(
            FileReport(
                path,
                bundle,
                max((dag.parse_seconds for dag in defined if dag.parse_seconds is not None), default=None),
                max((dag.parsed_at for dag in defined if dag.parsed_at is not None), default=None),
                tuple(dag.dag_id for dag in defined),
                tuple(reader.read(path, text) for text in errors.get((bundle, path), ())),
            )
        )
    return sorted(reports, key=lambda file: (-(file.parse_seconds or 0), file.bundle or "", file.path))


def _readable(call: Call, dag_ids: Iterable[str]) -> Collection[str]:
    identity, rule = call.services.host.identity, call.rule
    wanted = list(dag_ids)
    if identity.may(call.user, rule.method, rule.entity, None):
        return frozenset(wanted)
    return {dag_id for dag_id in wanted if identity.may(call.user, rule.method, rule.entity, dag_id)}


def _below(path: str | None, subdir: str | None) -> bool:
    if subdir is None:
        return True
    folder = subdir.strip("/")
    return path is not None and (path == folder or path.startswith(f"{folder}/") or not folder)
