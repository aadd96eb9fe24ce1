"""A real warm parser with a real Airflow in it, shared by the tests that leave it alive."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from parsed_host import BACKEND
from warm_parser import IDLE_PROCESSES, Folder, Processes

from xtended.airflow_host.base import ParsedFile
from xtended.dagparse import Parser


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    return home


@pytest.fixture(scope="session", autouse=True)
def _airflow_environment(airflow_home: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
            patch.delenv(name)
        # With it set, no test could tell whether stale bytecode would be used.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("AIRFLOW_HOME", str(airflow_home))
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(airflow_home / "dags"))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        # Airflow's command line makes one up where there is none: the parser has to have the same.
        patch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
        yield


@pytest.fixture(scope="session")
def migrated(_airflow_environment: None) -> Callable[..., str]:
    """Airflow's command line, with its database made."""

    def airflow(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("airflow")), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    airflow("db", "migrate")
    return airflow


MakeParser = Callable[..., Parser]


@pytest.fixture(scope="session")
def processes() -> Processes:
    """Those of the shared parser."""
    return Processes()


@pytest.fixture(scope="session")
def shared_parser(airflow_home: Path, processes: Processes, _airflow_environment: None) -> Iterator[Parser]:
    parser = Parser(
        BACKEND,
        airflow_home / "run",
        timeout=20.0,
        memory_mb=300,
        concurrency=2,
        idle_seconds=300.0,
        environ=processes.environ,
    )
    assert parser.alive()
    yield parser
    parser.close()
    processes.settle(0, seconds=20.0)


@pytest.fixture
def impatient_parser(airflow_home: Path, processes: Processes, shared_parser: Parser) -> Iterator[Parser]:
    """A second handle on the shared parser, for files that never end."""
    parser = Parser(
        BACKEND,
        airflow_home / "run",
        timeout=1.5,
        memory_mb=300,
        concurrency=2,
        idle_seconds=300.0,
        environ=processes.environ,
    )
    yield parser
    parser.close()


@pytest.fixture
def make_parser(tmp_path: Path) -> Iterator[MakeParser]:
    """Parsers of the test's own, which end with it."""
    made: list[Parser] = []

    def make(
        mark: Processes, *, backend: str = BACKEND, runtime_dir: Path | None = None, **given: object
    ) -> Parser:
        options = {"timeout": 20.0, "memory_mb": 300, "concurrency": 2, "idle_seconds": 300.0, **given}
        parser = Parser(backend, runtime_dir or tmp_path / "run", environ=mark.environ, **options)  # type: ignore[arg-type]
        made.append(parser)
        return parser

    yield make
    for parser in made:
        parser.close()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "dags").mkdir()
    return Folder(tmp_path / "dags")


@pytest.fixture
def parse(shared_parser: Parser, folder: Folder) -> Callable[[str], ParsedFile]:
    """Parse one file of `folder`."""

    def parse(path: str) -> ParsedFile:
        (parsed,) = shared_parser.parse(folder.tree, [path])
        return parsed

    return parse


@pytest.fixture
def nothing_left(processes: Processes, shared_parser: Parser) -> Iterator[None]:
    """After the test no process is left that was not there before, and the same parser answers as before."""
    server = processes.server()
    yield
    processes.settle(IDLE_PROCESSES, seconds=2.0)
    assert processes.server() == server
    assert shared_parser.alive()
