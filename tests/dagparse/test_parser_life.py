"""The warm parser is there while it is needed, is shared, survives accidents, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from parsed_host import BACKEND
from warm_parser import IDLE_PROCESSES, Folder, Processes, dag_ids, one_dag

from xtended.dagparse import Parser
from xtended.dagparse.protocol import encode
from xtended.dagparse.server import LEASE_GRACE, STOP_GRACE
from xtended.problems import ParserUnavailable

MakeParser = Callable[..., Parser]

NEVER_ENDING = "from airflow.sdk import DAG\nwhile True:\n    pass\n"

ANOTHER_WORKER = f"""
import sys
from pathlib import Path
from xtended.dagparse import Parser, ParseTree

root, runtime_dir = map(Path, sys.argv[1:])
parser = Parser({BACKEND!r}, runtime_dir, timeout=20, memory_mb=300, concurrency=2, idle_seconds=300)
(parsed,) = parser.parse(ParseTree(root, root, "dags-folder"), ["one.py"])
print(parsed.dags[0].dag_id, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def mark() -> Iterator[Processes]:
    """Processes of a parser of the test's own, none of which may be left when it has ended."""
    mark = Processes()
    yield mark
    for pid in mark.living():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def one(folder: Folder) -> str:
    return folder.write("one.py", one_dag("one"))


def test_no_worker_no_parser(make_parser: MakeParser, mark: Processes, folder: Folder, one: str) -> None:
    parser = make_parser(mark)
    parser.parse(folder.tree, [one])
    assert mark.living()
    parser.close()
    mark.settle(0, seconds=LEASE_GRACE + 10)


def test_the_parser_ends_with_the_last_worker_even_if_that_is_killed(
    mark: Processes, folder: Folder, one: str, tmp_path: Path
) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", ANOTHER_WORKER, folder.root, tmp_path / "run"],
        env={**os.environ, **mark.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"one\n"
    assert len(mark.living()) > 1
    worker.kill()
    worker.communicate()
    mark.settle(0, seconds=LEASE_GRACE + 10)


def test_workers_share_one_parser(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str, tmp_path: Path
) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", ANOTHER_WORKER, folder.root, tmp_path / "run"],
            env={**os.environ, **mark.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"one\n"
    mark.settle(len(workers) + IDLE_PROCESSES)
    for worker in workers:
        worker.communicate()
    mark.settle(0, seconds=LEASE_GRACE + 10)


def test_a_parser_that_nobody_asks_lets_its_memory_go_and_comes_back(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str
) -> None:
    parser = make_parser(mark, idle_seconds=1.0)
    parser.parse(folder.tree, [one])
    mark.settle(0, seconds=10.0)
    assert dag_ids(parser.parse(folder.tree, [one])[0]) == {"one"}


def test_a_killed_parser_is_started_again(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str
) -> None:
    parser = make_parser(mark)
    parser.parse(folder.tree, [one])
    os.kill(mark.server(), signal.SIGKILL)
    assert dag_ids(parser.parse(folder.tree, [one])[0]) == {"one"}
    mark.settle(IDLE_PROCESSES)


def test_a_parser_killed_under_a_request_is_started_again_for_it(
    make_parser: MakeParser, mark: Processes, folder: Folder
) -> None:
    flag = folder.root / "second_time"
    source = f"""
        import pathlib, time
        flag = pathlib.Path({str(flag)!r})
        if not flag.exists():
            flag.touch()
            time.sleep(1000)
        """
    path = folder.write("once.py", source, one_dag("again"))
    parser = make_parser(mark)

    def kill_server() -> None:
        while not flag.exists():
            time.sleep(0.01)
        os.kill(mark.server(), signal.SIGKILL)

    killer = threading.Thread(target=kill_server)
    killer.start()
    assert dag_ids(parser.parse(folder.tree, [path])[0]) == {"again"}
    killer.join()
    mark.settle(IDLE_PROCESSES)


def test_a_file_that_kills_the_parser_costs_its_own_request_alone(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str
) -> None:
    source = """
        import os, signal
        from airflow.sdk import DAG
        supervisor = os.getppid()
        with open(f"/proc/{supervisor}/stat") as stat:
            server = int(stat.read().rpartition(")")[2].split()[1])
        for pid in (server, supervisor):
            os.kill(pid, signal.SIGKILL)
        """
    parser = make_parser(mark)
    with pytest.raises(ParserUnavailable):
        parser.parse(folder.tree, [folder.write("murder.py", source)])
    assert dag_ids(parser.parse(folder.tree, [one])[0]) == {"one"}
    mark.settle(IDLE_PROCESSES)


def test_a_killed_supervisor_takes_its_file_with_it(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str
) -> None:
    source = """
        import os, signal, time
        from airflow.sdk import DAG
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(0)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)
        """
    parser = make_parser(mark)
    with pytest.raises(ParserUnavailable):
        parser.parse(folder.tree, [folder.write("orphans.py", source)])
    mark.settle(IDLE_PROCESSES)
    assert dag_ids(parser.parse(folder.tree, [one])[0]) == {"one"}


def test_a_supervisor_that_is_stuck_is_killed_once_its_client_hangs_up(
    make_parser: MakeParser, mark: Processes, folder: Folder
) -> None:
    source = """
        import os, signal, time
        from airflow.sdk import DAG
        os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(1000)
        """
    parser = make_parser(mark)
    path = folder.write("stops.py", source)
    with parser.connection() as connection:
        connection.sendall(encode(parser.request(folder.tree, [path]).frame()))
        while len(mark.living()) <= IDLE_PROCESSES:
            time.sleep(0.01)
    mark.settle(IDLE_PROCESSES, seconds=STOP_GRACE + 5)


def test_a_terminated_parser_ends_all_that_it_runs(
    make_parser: MakeParser, mark: Processes, folder: Folder
) -> None:
    path = folder.write("loop.py", "import os\nos.fork() or os.setsid()\n", NEVER_ENDING)
    parser = make_parser(mark)
    with parser.connection() as connection:
        connection.sendall(encode(parser.request(folder.tree, [path]).frame()))
        while len(mark.living()) <= IDLE_PROCESSES + 2:
            time.sleep(0.01)
        os.kill(mark.server(), signal.SIGTERM)
        mark.settle(0, seconds=STOP_GRACE + 5)


def test_a_client_that_hangs_up_ends_its_request(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str
) -> None:
    paths = [folder.write("daemon.py", "import os\nos.fork() or os.setsid()\n", NEVER_ENDING), one]
    parser = make_parser(mark, concurrency=2)
    outcomes = parser.outcomes(folder.tree, paths)
    assert dag_ids(next(outcomes)) == {"one"}  # type: ignore[arg-type]
    assert len(mark.living()) > IDLE_PROCESSES
    outcomes.close()
    mark.settle(IDLE_PROCESSES)


def test_requests_of_many_threads_are_answered(
    make_parser: MakeParser, mark: Processes, folder: Folder
) -> None:
    paths = [folder.write(f"dag_{number}.py", one_dag(f"dag_{number}")) for number in range(12)]
    parser = make_parser(mark)
    found: dict[str, set[str]] = {}

    def parse(path: str) -> None:
        found[path] = dag_ids(parser.parse(folder.tree, [path])[0])

    threads = [threading.Thread(target=parse, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {path: {path.removesuffix(".py")} for path in paths}


def test_warming_does_not_keep_the_caller(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str
) -> None:
    parser = make_parser(mark)
    parser.warm()
    # Airflow has not been loaded yet, which comes before the first of the processes that wait for requests.
    assert len(mark.living()) < IDLE_PROCESSES
    assert parser.alive()


def test_the_parser_has_one_thread_and_no_database(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str
) -> None:
    parser = make_parser(mark)
    parser.parse(folder.tree, [one])
    server = Path("/proc", str(mark.server()))
    assert len(list((server / "task").iterdir())) == 1
    assert not [link for link in (server / "fd").iterdir() if "airflow.db" in str(link.readlink())]


def test_a_backend_that_can_not_be_loaded_is_unavailable_and_says_why_in_the_log(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str, caplog: pytest.LogCaptureFixture
) -> None:
    parser = make_parser(mark, backend="no_such_module:backend")
    with pytest.raises(ParserUnavailable) as caught:
        parser.parse(folder.tree, [one])
    assert "no_such_module" in caplog.text
    assert "no_such_module" not in caught.value.detail
    assert not parser.alive()


def test_a_backend_that_fails_is_unavailable(
    make_parser: MakeParser, mark: Processes, folder: Folder, one: str
) -> None:
    parser = make_parser(mark, backend="builtins:ord")
    with pytest.raises(ParserUnavailable):
        parser.parse(folder.tree, [one])
    mark.settle(0, seconds=10.0)
