"""What the parser's tests write, ask and look at."""

from __future__ import annotations

import textwrap
import time
import uuid
import zipfile
from pathlib import Path

from parsed_host import for_this_airflow

from xtended.airflow_host.base import ParsedFile
from xtended.dagparse import ParseTree

BUNDLE = "dags-folder"

ONE_DAG = """
    from airflow.sdk import DAG
    from airflow.providers.standard.operators.bash import BashOperator

    with DAG("{dag_id}", schedule=None):
        BashOperator(task_id="only", bash_command="{command}")
    """


def one_dag(dag_id: str, command: str = "true") -> str:
    """Source of a DAG file with one DAG of one task."""
    return ONE_DAG.format(dag_id=dag_id, command=command)


class Processes:
    """All living processes that have a mark in their environment, and what they come from."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex

    @property
    def environ(self) -> dict[str, str]:
        return {"XTENDED_TEST_MARK": self.mark}

    def living(self) -> dict[int, int]:
        """Parent of each process, by pid; those that only wait to be reaped are not alive."""
        found: dict[int, int] = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (process / "environ").read_bytes():
                    state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
                    if state != "Z":
                        found[int(process.name)] = int(parent)
            except OSError:
                continue
        return found

    def server(self) -> int:
        """Pid of the warm parser itself: the one that nothing else here has forked."""
        living = self.living()
        (server,) = (pid for pid, parent in living.items() if parent not in living)
        return server

    def settle(self, count: int, seconds: float = 5.0) -> dict[int, int]:
        """The living processes, once there are no more than `count`; fails where that does not happen."""
        deadline = time.monotonic() + seconds
        while len(living := self.living()) > count:
            assert time.monotonic() < deadline, (
                f"{len(living)} processes are left, expected {count}: {living}"
            )
            time.sleep(0.02)
        return living


IDLE_PROCESSES = 3
"""The warm parser, and the supervisor and file process that it has ready for the next request."""


class Folder:
    """A DAG folder that files are written to."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, *sources: str) -> str:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(for_this_airflow("".join(textwrap.dedent(source) for source in sources)))
        return path

    @property
    def tree(self) -> ParseTree:
        return ParseTree(self.root, self.root, BUNDLE)


def dag_ids(parsed: ParsedFile) -> set[str]:
    """The ids of a file's DAGs; a file that has a problem fails the test, and says which."""
    assert parsed.import_problems == (), parsed.import_problems[0].stacktrace
    return {dag.dag_id for dag in parsed.dags}


def write_zip(path: Path, members: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in members.items():
            archive.writestr(name, for_this_airflow(source))
