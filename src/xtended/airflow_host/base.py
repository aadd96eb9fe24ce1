"""The seam: what this extension needs from Airflow, one small interface per concern.

`airflow3/` and `airflow2/` implement these; nothing outside `airflow_host/` (and `plugin.py`) imports
`airflow`. All calls are synchronous and may block: callers run them in a worker thread. Paths that cross
the seam are POSIX paths relative to the DAG folder; a DAG inside `x.zip` has the path `x.zip`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from xtended.airflow_host.entities import Entities
from xtended.airflow_host.identity import Identity, User
from xtended.airflow_host.runs import Runs
from xtended.problems import Problem
from xtended.settings import SECTION

ServiceName = Literal["scheduler", "worker", "flower", "kerberos", "serve_logs"]


@dataclass(frozen=True)
class KnownDag:
    """A DAG as Airflow's database has it. `path` is None where another bundle holds the DAG."""

    dag_id: str
    path: str | None
    bundle: str | None
    paused: bool
    stale: bool


@dataclass(frozen=True)
class ListedDag:
    """A DAG that is not stale, and the last parse of its file.

    `path` is relative to the DAG's own bundle, None where it lies outside; `parse_seconds` is None where
    the host does not keep it.
    """

    dag_id: str
    path: str | None
    bundle: str | None
    paused: bool
    owners: tuple[str, ...]
    parsed_at: datetime | None
    parse_seconds: float | None


@dataclass(frozen=True)
class RecordedError:
    """An import error as Airflow keeps it; `traceback` is not for clients."""

    path: str
    bundle: str | None
    traceback: str = field(repr=False)


class Catalogue(Protocol):
    """What Airflow's database says about DAGs."""

    def reachable(self) -> bool:
        """Whether the metadata database answers."""
        ...

    def find(self, dag_ids: Collection[str]) -> dict[str, KnownDag]:
        """The known ones among `dag_ids`, stale ones included."""
        ...

    def in_files(self, paths: Collection[str] | None) -> list[KnownDag]:
        """The DAGs that these files define, by Airflow's record; None: in any file of the DAG folder."""
        ...

    def broken_files(self) -> set[str]:
        """The files of the DAG folder that have an import error, by Airflow's record."""
        ...

    def listing(self) -> list[ListedDag]:
        """Every DAG that is not stale, by id."""
        ...

    def import_errors(self) -> list[RecordedError]:
        """Every import error, by bundle and file."""
        ...


@dataclass(frozen=True)
class ParsedDag:
    """One DAG found by the parser; `form` is the host's serialised form, as JSON.

    As text it takes a small part of the memory that its objects take, which counts where there are thousands.
    """

    dag_id: str
    form: str = field(repr=False)

    @classmethod
    def of(cls, dag_id: str, data: Mapping[str, Any]) -> ParsedDag:
        return cls(dag_id, json.dumps(data))

    def data(self) -> dict[str, Any]:
        """The serialised form, made anew: it is the caller's to change."""
        data: dict[str, Any] = json.loads(self.form)
        return data


@dataclass(frozen=True)
class ImportProblem:
    """Why a file, or a DAG in it, could not be loaded. No server path is in `message`."""

    file: str
    line: int | None
    message: str
    stacktrace: str = field(repr=False, default="")

    def public(self) -> dict[str, Any]:
        """What a client sees."""
        return {"file": self.file, "line": self.line, "message": self.message}


@dataclass(frozen=True)
class ParsedFile:
    """What one file of the DAG folder defines."""

    path: str
    dags: tuple[ParsedDag, ...]
    import_problems: tuple[ImportProblem, ...]
    warnings: tuple[Mapping[str, Any], ...]
    seconds: float


@dataclass(frozen=True)
class AuditEntry:
    """One line of Airflow's audit log."""

    event: str
    user: User
    dag_ids: tuple[str, ...]
    details: Mapping[str, Any]


class Transaction(Protocol):
    """Changes to Airflow's database that become visible together, when the context ends."""

    def publish(self, files: Sequence[ParsedFile]) -> None:
        """Record what these files define, as the DAG processor would, and make it live.

        Comes first in its transaction, as it may begin that anew where the database is busy.
        """
        ...

    def retire(self, paths: Collection[str], keep: Collection[str] = ()) -> list[str]:
        """Mark the DAGs of these files stale, except those in `keep`; answers their ids.

        Of files that are gone, the import errors go too.
        """
        ...

    def request_parse(self, paths: Collection[str]) -> None:
        """Ask the DAG processor to parse these files next."""
        ...

    def set_paused(self, dag_ids: Collection[str], *, paused: bool) -> None: ...

    def delete_dag(self, dag_id: str) -> None:
        """Delete the DAG's records. Raises Conflict where its tasks still run, NotFound where unknown."""
        ...

    def audit(self, entry: AuditEntry) -> None: ...


@dataclass(frozen=True)
class Connection:
    """An Airflow connection, from whichever secrets backend has it."""

    conn_id: str
    conn_type: str
    host: str | None = None
    port: int | None = None
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    description: str | None = None


class Connections(Protocol):
    """Airflow's connections. Those that are kept are in its database, with their secrets encrypted."""

    def find(self, conn_id: str) -> Connection:
        """From whichever secrets backend has it. Raises NotFound, and BadRequest where Airflow can't read it."""
        ...

    def kept(self, prefix: str) -> list[Connection]:
        """Those in the database whose id starts so, by id."""
        ...

    def keep(self, connection: Connection, *, replace: bool) -> None:
        """Raises Conflict where there is one of this id and it is not to be replaced."""
        ...

    def remove(self, conn_id: str) -> None: ...


@dataclass(frozen=True)
class Versions:
    airflow: str
    connexion: str
    host: Literal["airflow3", "airflow2"]


class Host(Protocol):
    """The Airflow installation that this extension finds itself in."""

    @property
    def identity(self) -> Identity: ...

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def runs(self) -> Runs: ...

    @property
    def entities(self) -> Entities: ...

    def option(self, key: str, section: str = SECTION) -> str | None:
        """One option of a section of airflow.cfg, environment variables included; None where unset."""
        ...

    def home(self) -> Path:
        """AIRFLOW_HOME."""
        ...

    def service_command(self, name: ServiceName) -> Sequence[str]:
        """The program of one of Airflow's services, without arguments. Raises Conflict where it is not installed."""
        ...

    def dag_folder(self) -> Path:
        """The folder that DAG files go to. Raises FolderNotOurs where the bundle can't be written to."""
        ...

    def ignore_syntax(self) -> Literal["glob", "glob_first", "regexp"]:
        """How Airflow reads `.airflowignore` files."""
        ...

    def bundle_name(self) -> str:
        """Name of the DAG bundle; on Airflow 2 the name that Airflow 3 gives its default."""
        ...

    def parse_backend(self) -> str:
        """`module:attribute` of the `dagparse.supervisor.Backend` that parses this host's DAG files."""
        ...

    def task_program(self) -> str:
        """The module that carries out a `task_orders.TaskOrder` when it is run as a program."""
        ...

    def transaction(self) -> AbstractContextManager[Transaction]: ...

    def carried(self, work: Callable[[], None]) -> Callable[[], None]:
        """`work` for another thread than the request's, with what the host ties to the thread of a request."""
        ...

    @property
    def connections(self) -> Connections: ...

    def problem_of(self, error: Exception) -> Problem | None:
        """What to tell a client of an exception that says that the database is busy or away; None of others."""
        ...

    def versions(self) -> Versions: ...
