"""DAG files to send, for whichever Airflow runs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from contract import hosts

IMPORTS = hosts.installed().dag_imports


def dag(dag_id: str, *tasks: str, before: str = "") -> bytes:
    """A file that defines one DAG with these tasks ("hello" where none is named); `before` is run first."""
    lines = [before, IMPORTS, f"with DAG({dag_id!r}, schedule=None) as the_dag:"]
    for name in tasks or ("hello",):
        lines += [
            f"    @task(task_id={name!r})",
            f"    def run_{name}():",
            "        return 1",
            f"    run_{name}()",
        ]
    return "\n".join(lines).encode() + b"\n"


def taskflow(dag_id: str) -> bytes:
    """A file in which no variable is a DAG's, and none is called `dag`."""
    return f"""{IMPORTS}
@dag(dag_id={dag_id!r}, schedule=None)
def pipeline():
    @task
    def extract():
        return 1

    @task
    def load(value):
        return value

    load(extract())


pipeline()
""".encode()


def many(*dag_ids: str) -> bytes:
    """One file with several DAGs."""
    return b"\n".join(dag(dag_id) for dag_id in dag_ids)


def dynamic(*dag_ids: str) -> bytes:
    """DAGs made in a loop, found through globals()."""
    return f"""{IMPORTS}
for dag_id in {list(dag_ids)!r}:
    with DAG(dag_id, schedule=None) as made:
        @task
        def hello():
            return 1
        hello()
    globals()["made_" + dag_id] = made
del made
""".encode()


def archive(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with these members, as they are named."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()
