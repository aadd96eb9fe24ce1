"""A DAG parsed where its file is staged is the DAG that Airflow finds once the file is in place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parsed_host import AIRFLOWS_OWN, DAG_ID, HOST
from warm_parser import BUNDLE, Folder, dag_ids, one_dag, write_zip

from xtended.dagparse import Parser, ParseTree

TELLTALE = """
    import os
    from datetime import datetime
    from pathlib import Path

    from airflow.configuration import conf
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG, Asset, task

    from neighbour import NEIGHBOUR_FILE

    HERE = Path(__file__).resolve().parent

    class OwnOperator(BashOperator):
        template_fields = ("bash_command", "where")

        def __init__(self, where, **kwargs):
            super().__init__(bash_command="true", **kwargs)
            self.where = where

    def work():
        pass

    with DAG(
        "telltale",
        schedule=[Asset("a"), Asset("b")],
        start_date=datetime(2024, 1, 1),
        template_searchpath=[str(HERE), conf.get("core", "dags_folder")],
        tags=["one", "two"],
        doc_md=f"Lives in {__file__}, beside {NEIGHBOUR_FILE}.",
        params={"folder": os.path.dirname(__file__), "number": 3},
        default_args={"retries": 2},
    ):
        own = OwnOperator(task_id="own", where=str(HERE / "data.yaml"))
        python = PythonOperator(task_id="python", python_callable=work, op_kwargs={"file": __file__})

        @task
        def each(value):
            return value

        own >> python >> each.expand(value=[os.path.basename(os.path.dirname(__file__)) != "", 1, 2])
    """


def airflows_own(root: Path, path: str) -> list[dict[str, Any]]:
    """What Airflow's DAG processor makes of a file."""
    command = [sys.executable, "-c", AIRFLOWS_OWN, str(root), path, BUNDLE]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (result,) = [line for line in output.splitlines() if line.startswith("RESULT ")]
    return list(json.loads(result.removeprefix("RESULT ")))


def comparable(dags: list[Any]) -> str:
    return json.dumps(sorted(dags, key=lambda data: data["dag"][DAG_ID]), sort_keys=True, indent=1)


def shadow(live: Path, changed: list[str], shadow_root: Path) -> ParseTree:
    """`live` as staging makes it look: what changes is real, all else leads to the live folder."""
    shadow_root.mkdir()
    for entry in live.iterdir():
        if entry.is_dir() and any(path.startswith(f"{entry.name}/") for path in changed):
            within = [path.partition("/")[2] for path in changed if path.startswith(f"{entry.name}/")]
            shadow(entry, within, shadow_root / entry.name)
        elif entry.name in changed:
            shutil.move(entry, shadow_root / entry.name)
        else:
            (shadow_root / entry.name).symlink_to(entry)
    return ParseTree(shadow_root, live, BUNDLE)


@pytest.fixture
def live(airflow_home: Path) -> Folder:
    """Airflow's own DAG folder, emptied."""
    root = airflow_home / "dags"
    shutil.rmtree(root)
    root.mkdir()
    return Folder(root)


Compare = Callable[[list[str], str], None]


@pytest.fixture
def same_in_shadow(live: Folder, shared_parser: Parser, tmp_path: Path) -> Compare:
    """Fails unless a file is parsed alike by Airflow, in place, and in shadow, where `changed` has gone."""

    def compare(changed: list[str], path: str) -> None:
        expected = comparable(airflows_own(live.root, path))
        assert expected != "[]"
        in_place = shared_parser.parse(live.tree, [path])[0]
        tree = shadow(live.root, changed, tmp_path / "shadow")
        in_shadow = shared_parser.parse(tree, [path])[0]
        for parsed in (in_place, in_shadow):
            assert parsed.import_problems == ()
            assert comparable([dag.data() for dag in parsed.dags]) == expected

    return compare


def test_a_staged_dag_is_what_airflow_would_record(live: Folder, same_in_shadow: Compare) -> None:
    live.write("neighbour.py", "NEIGHBOUR_FILE = __file__\n")
    live.write("team/telltale.py", TELLTALE)
    same_in_shadow(["team/telltale.py"], "team/telltale.py")


def test_a_staged_neighbour_reads_as_in_place(live: Folder, same_in_shadow: Compare) -> None:
    live.write("neighbour.py", "NEIGHBOUR_FILE = __file__\n")
    live.write("telltale.py", TELLTALE)
    same_in_shadow(["telltale.py", "neighbour.py"], "telltale.py")


def test_a_staged_zip_is_what_airflow_would_record(live: Folder, same_in_shadow: Compare) -> None:
    main = """
from airflow.sdk import DAG
from lib import WHERE
dag = DAG("zipped", schedule=None, doc_md=f"{__file__} and {WHERE}", template_searchpath=[__file__])
"""
    write_zip(live.root / "pack.zip", {"main.py": main, "lib.py": "WHERE = __file__\n"})
    same_in_shadow(["pack.zip"], "pack.zip")


def test_a_changed_module_is_seen_by_the_files_that_import_it(
    live: Folder, shared_parser: Parser, tmp_path: Path
) -> None:
    live.write("names.py", "NAME = 'after'\n")
    importing = "from airflow.sdk import DAG\nfrom names import NAME\ndag = DAG(NAME, schedule=None)\n"
    live.write("importing.py", importing)
    tree = shadow(live.root, ["names.py"], tmp_path / "shadow")
    live.write("names.py", "NAME = 'before'\n")
    assert dag_ids(shared_parser.parse(live.tree, ["importing.py"])[0]) == {"before"}
    assert dag_ids(shared_parser.parse(tree, ["importing.py"])[0]) == {"after"}


def test_a_file_that_asks_for_the_dag_folder_sees_it_as_it_will_be(
    live: Folder, shared_parser: Parser, tmp_path: Path
) -> None:
    source = """
        from pathlib import Path
        from airflow.configuration import conf
        from airflow.sdk import DAG
        dag = DAG(Path(conf.get("core", "dags_folder"), "name.txt").read_text(), schedule=None)
        """
    live.write("asks.py", source)
    live.write("name.txt", "after")
    tree = shadow(live.root, ["name.txt"], tmp_path / "shadow")
    live.write("name.txt", "before")
    assert dag_ids(shared_parser.parse(live.tree, ["asks.py"])[0]) == {"before"}
    assert dag_ids(shared_parser.parse(tree, ["asks.py"])[0]) == {"after"}


def test_data_beside_a_staged_file_can_be_read(live: Folder, shared_parser: Parser, tmp_path: Path) -> None:
    live.write("team/data.yaml", "from_live_data")
    source = """
        from pathlib import Path
        from airflow.sdk import DAG
        dag = DAG((Path(__file__).parent / "data.yaml").read_text(), schedule=None)
        """
    live.write("team/reads.py", source)
    tree = shadow(live.root, ["team/reads.py"], tmp_path / "shadow")
    assert dag_ids(shared_parser.parse(tree, ["team/reads.py"])[0]) == {"from_live_data"}


def test_problems_of_a_staged_file_read_as_in_place(
    live: Folder, shared_parser: Parser, tmp_path: Path
) -> None:
    source = "from airflow.sdk import DAG\n\nraise ValueError(f'in {__file__}')\n"
    live.write("team/broken.py", source)
    tree = shadow(live.root, ["team/broken.py"], tmp_path / "shadow")
    (problem,) = shared_parser.parse(tree, ["team/broken.py"])[0].import_problems
    assert problem.public() == {
        "file": "team/broken.py",
        "line": 3,
        "message": "ValueError: in team/broken.py",
    }
    assert str(live.root / "team/broken.py") in problem.stacktrace
    assert str(tree.root) not in problem.stacktrace


def test_a_shadow_reached_through_a_link_leaves_no_trace(
    live: Folder, shared_parser: Parser, tmp_path: Path
) -> None:
    source = """
        from pathlib import Path
        from airflow.sdk import DAG
        dag = DAG("linked", schedule=None, doc_md=f"{__file__} {Path(__file__).resolve()}")
        """
    live.write("linked.py", source)
    tree = shadow(live.root, ["linked.py"], tmp_path / "shadow")
    (tmp_path / "link").symlink_to(tree.root)
    parsed = shared_parser.parse(ParseTree(tmp_path / "link", live.root, BUNDLE), ["linked.py"])[0]
    file = live.root / "linked.py"
    assert parsed.dags[0].data()["dag"]["doc_md"] == f"{file} {file}"


def test_warnings_come_with_the_result(live: Folder, shared_parser: Parser) -> None:
    live.write(
        "wobbly.py",
        "from datetime import datetime\n",
        one_dag("wobbly").replace("schedule=None", "schedule=None, start_date=datetime.now()"),
    )
    (parsed,) = shared_parser.parse(live.tree, ["wobbly.py"])
    # Airflow 2 warns of missing pools alone, when it publishes.
    assert [warning["dag_id"] for warning in parsed.warnings] == (["wobbly"] if HOST == "airflow3" else [])
    assert str(live.root) not in json.dumps(parsed.warnings)
