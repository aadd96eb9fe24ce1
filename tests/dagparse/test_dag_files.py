"""Whatever a DAG file does, it is answered, the next one too, and no process is left over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from warm_parser import Folder, dag_ids, one_dag, write_zip

from xtended.airflow_host.base import ImportProblem, ParsedFile
from xtended.dagparse import Parser
from xtended.problems import ParseTimeout

Parse = Callable[[str], ParsedFile]

pytestmark = pytest.mark.usefixtures("nothing_left")


def problem_of(parsed: ParsedFile) -> ImportProblem:
    assert parsed.dags == ()
    (problem,) = parsed.import_problems
    return problem


def test_a_dag_file_gives_its_dag_and_tasks(folder: Folder, parse: Parse) -> None:
    parsed = parse(folder.write("team/one.py", one_dag("one")))
    assert parsed.import_problems == ()
    (dag,) = parsed.dags
    assert dag.dag_id == "one"
    assert dag.data()["dag"]["fileloc"] == str(folder.root / "team/one.py")
    assert [task["__var"]["task_id"] for task in dag.data()["dag"]["tasks"]] == ["only"]


def test_a_file_that_defines_many_dags_gives_all(folder: Folder, parse: Parse) -> None:
    source = """
        from airflow.sdk import DAG
        for number in range(30):
            with DAG(f"many_{number}", schedule=None):
                pass
        """
    assert dag_ids(parse(folder.write("many.py", source))) == {f"many_{number}" for number in range(30)}


def test_dags_made_by_a_factory_are_found(folder: Folder, parse: Parse) -> None:
    source = """
        from airflow.sdk import DAG
        def make(name):
            return DAG(dag_id=name, schedule=None)
        for name in ("left", "right"):
            globals()[f"any_{name}"] = make(name)
        """
    assert dag_ids(parse(folder.write("factory.py", source))) == {"left", "right"}


def test_taskflow_files_are_understood(folder: Folder, parse: Parse) -> None:
    source = """
        from datetime import datetime
        from airflow.sdk import dag, task
        @dag(schedule="@daily", start_date=datetime(2024, 1, 1))
        def flow():
            @task
            def extract():
                return 1
            @task
            def load(value):
                print(value)
            load(extract())
        flow()
        """
    (dag,) = parse(folder.write("flow.py", source)).dags
    assert [task["__var"]["task_id"] for task in dag.data()["dag"]["tasks"]] == ["extract", "load"]


def test_a_file_without_a_dag_defines_nothing(folder: Folder, parse: Parse) -> None:
    parsed = parse(folder.write("none.py", "from airflow.sdk import DAG  # and no dag\n"))
    assert (parsed.dags, parsed.import_problems) == ((), ())


def test_a_missing_file_is_a_problem_of_that_file(folder: Folder, parse: Parse) -> None:
    assert problem_of(parse("gone.py")) == ImportProblem(
        "gone.py", None, "there is no such file", "there is no such file"
    )


def test_an_exception_gives_file_line_and_message(folder: Folder, parse: Parse) -> None:
    source = "from airflow.sdk import DAG\ndef half():\n    return 1 / 0\nhalf()\n"
    problem = problem_of(parse(folder.write("sub/raises.py", source)))
    assert problem.public() == {
        "file": "sub/raises.py",
        "line": 3,
        "message": "ZeroDivisionError: division by zero",
    }
    assert str(folder.root / "sub/raises.py") in problem.stacktrace


def test_an_exception_deep_in_airflow_still_gives_the_line(folder: Folder, parse: Parse) -> None:
    source = "from airflow.sdk import DAG\n\nDAG('not a valid id!', schedule=None)\n"
    problem = problem_of(parse(folder.write("deep.py", source)))
    assert problem.line == 3
    assert "not a valid id!" in problem.message


def test_a_syntax_error_gives_the_line(folder: Folder, parse: Parse) -> None:
    problem = problem_of(parse(folder.write("syntax.py", "from airflow.sdk import DAG\nx = 1\ndef (:\n")))
    assert (problem.file, problem.line) == ("syntax.py", 3)
    assert problem.message.startswith("SyntaxError")


def test_messages_name_no_path_of_the_server(folder: Folder, parse: Parse, airflow_home: Path) -> None:
    source = """
        import airflow, os, sys  # no DAG
        home = os.path.expanduser("~")
        raise RuntimeError(f"{__file__} {os.path.dirname(airflow.__file__)} {sys.prefix} {home}/x")
        """
    message = problem_of(parse(folder.write("paths.py", source))).message
    assert message == "RuntimeError: paths.py site-packages/airflow python ~/x"


def test_a_failing_sibling_is_named_in_the_message(folder: Folder, parse: Parse) -> None:
    folder.write("helper.py", "def help():\n    raise ValueError('no help')\n")
    source = "from airflow.sdk import DAG\nimport helper\nhelper.help()\n"
    problem = problem_of(parse(folder.write("main.py", source)))
    assert problem.public() == {
        "file": "main.py",
        "line": 3,
        "message": "ValueError: no help (helper.py, line 2)",
    }


def test_os_exit_is_a_problem_that_names_the_code(folder: Folder, parse: Parse) -> None:
    problem = problem_of(
        parse(folder.write("exit.py", "import os\nfrom airflow.sdk import DAG\nos._exit(7)\n"))
    )
    assert problem.message == "the file ended its process with exit code 7 while it was loaded"


@pytest.mark.parametrize("code", ["0", "3", "'words'", ""])
def test_sys_exit_is_a_problem_with_its_line(folder: Folder, parse: Parse, code: str) -> None:
    source = f"import sys\nfrom airflow.sdk import DAG\nsys.exit({code})\n"
    problem = problem_of(parse(folder.write("sysexit.py", source)))
    assert problem.line == 3
    assert problem.message.startswith("the file called sys.exit(")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("SIGKILL", "os.kill(os.getpid(), signal.SIGKILL)"),
        ("SIGTERM", "os.kill(os.getpid(), signal.SIGTERM)"),
        ("SIGSEGV", "ctypes.string_at(0)"),
        ("SIGABRT", "os.abort()"),
    ],
)
def test_death_by_signal_is_a_problem_that_names_it(
    folder: Folder, parse: Parse, name: str, how: str
) -> None:
    source = f"import ctypes, os, signal\nfrom airflow.sdk import DAG\n{how}\n"
    assert name in problem_of(parse(folder.write("signal.py", source))).message


def test_endless_recursion_is_a_problem_with_its_line(folder: Folder, parse: Parse) -> None:
    source = "from airflow.sdk import DAG\ndef down():\n    down()\ndown()\n"
    problem = problem_of(parse(folder.write("recursion.py", source)))
    assert problem.line == 3
    assert problem.message.startswith("RecursionError")


def test_an_endless_loop_is_a_timeout_that_names_the_file(folder: Folder, impatient_parser: Parser) -> None:
    path = folder.write("loop.py", "from airflow.sdk import DAG\nwhile True:\n    pass\n")
    with pytest.raises(ParseTimeout) as caught:
        impatient_parser.parse(folder.tree, [path])
    assert caught.value.extra["file"] == "loop.py"
    assert "loop.py" in caught.value.detail


def test_a_file_can_not_talk_itself_out_of_the_time_limit(folder: Folder, impatient_parser: Parser) -> None:
    source = """
        import signal, time
        from airflow.sdk import DAG
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
        """
    with pytest.raises(ParseTimeout):
        impatient_parser.parse(folder.tree, [folder.write("stubborn.py", source)])


def test_allocating_without_end_is_a_problem_that_names_the_limit(folder: Folder, parse: Parse) -> None:
    source = "from airflow.sdk import DAG\nkept = []\nwhile True:\n    kept.append(bytearray(2**20))\n"
    problem = problem_of(parse(folder.write("memory.py", source)))
    assert problem.message == "the file used more than 300 MB of memory while it was loaded"
    assert problem.line == 4


def test_printing_a_gigabyte_is_cheap_and_goes_nowhere(folder: Folder, parse: Parse) -> None:
    source = """
        import os, sys
        line = "x" * 2**20
        for _ in range(512):
            print(line)
            sys.stderr.write(line)
        os.system("head -c 10000000 /dev/zero; head -c 10000000 /dev/zero >&2")
        """
    parsed = parse(folder.write("print.py", source, one_dag("printed")))
    assert dag_ids(parsed) == {"printed"}


def test_reading_from_the_terminal_finds_nothing(folder: Folder, parse: Parse) -> None:
    source = "from airflow.sdk import DAG\ninput('dag id: ')\n"
    assert problem_of(parse(folder.write("ask.py", source))).message.startswith("EOFError")


def test_a_file_that_forks_can_be_parsed(folder: Folder, parse: Parse) -> None:
    assert dag_ids(
        parse(folder.write("fork.py", "import os\nos.fork()\nos.fork()\n", one_dag("forked")))
    ) == {"forked"}


def test_a_copy_of_a_file_can_not_answer_for_it(folder: Folder, parse: Parse) -> None:
    source = """
        import os, time
        from airflow.sdk import DAG
        if os.fork() != 0:
            time.sleep(0.5)
            os._exit(3)
        dag = DAG("copy", schedule=None)
        """
    assert "exit code 3" in problem_of(parse(folder.write("copy.py", source))).message


def test_daemons_of_a_file_are_gone_when_the_next_is_loaded(folder: Folder, shared_parser: Parser) -> None:
    pid_file = folder.root / "pid"
    daemon = f"""
        import os, time
        started = os.fork()
        if started == 0:
            os.setsid()
            time.sleep(1000)
        with open({str(pid_file)!r}, "w") as pid_file:
            pid_file.write(str(started))
        """
    looking = f"""
        import os
        from airflow.sdk import DAG
        with open({str(pid_file)!r}) as pid_file:
            alive = os.path.exists(f"/proc/{{pid_file.read()}}")
        dag = DAG(f"alive_{{alive}}", schedule=None)
        """
    # Each half of the files is one request: the last two are loaded one after the other.
    paths = [folder.write(f"other_{number}.py", one_dag(f"other_{number}")) for number in range(2)]
    paths += [folder.write("daemon.py", daemon, one_dag("daemon")), folder.write("looking.py", looking)]
    assert dag_ids(shared_parser.parse(folder.tree, paths)[-1]) == {"alive_False"}


def test_daemons_of_a_file_end_with_it(folder: Folder, parse: Parse) -> None:
    source = """
        import os, signal, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.setsid() if os.getpid() != os.getpgrp() else None
                while True:
                    time.sleep(1)
            os._exit(0)
        os.wait()
        """
    assert dag_ids(parse(folder.write("daemon.py", source, one_dag("daemon")))) == {"daemon"}


def test_detached_subprocesses_of_a_file_end_with_it(folder: Folder, parse: Parse) -> None:
    source = """
        import subprocess
        subprocess.Popen(["sh", "-c", "nohup setsid sleep 1000 & sleep 1000"], start_new_session=True)
        """
    assert dag_ids(parse(folder.write("detached.py", source, one_dag("detached")))) == {"detached"}


def test_daemons_of_a_file_that_never_ends_end_with_it(folder: Folder, impatient_parser: Parser) -> None:
    source = """
        import os, time
        from airflow.sdk import DAG
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    break
        while True:
            time.sleep(1)
        """
    with pytest.raises(ParseTimeout):
        impatient_parser.parse(folder.tree, [folder.write("hanging_daemons.py", source)])


def test_what_a_file_registers_to_clean_up_is_cleaned_up(folder: Folder, parse: Parse) -> None:
    source = """
        import atexit, pathlib
        from airflow.sdk import DAG
        scratch = pathlib.Path(__file__).with_name("scratch")
        scratch.touch()
        atexit.register(scratch.unlink)
        dag = DAG(f"made_{scratch.exists()}", schedule=None)
        """
    assert dag_ids(parse(folder.write("cleans.py", source))) == {"made_True"}
    assert not (folder.root / "scratch").exists()


def test_a_fork_bomb_is_a_problem_and_ends(folder: Folder, parse: Parse) -> None:
    source = """
        import os
        from airflow.sdk import DAG
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """
    assert problem_of(parse(folder.write("bomb.py", source))).message.startswith(
        "the file started more than 64 processes"
    )


def test_a_descendant_that_holds_the_channel_does_not_delay_the_answer(folder: Folder, parse: Parse) -> None:
    source = """
        import os, time
        if os.fork() == 0:
            time.sleep(1000)
        """
    started = time.monotonic()
    assert dag_ids(parse(folder.write("held.py", source, one_dag("held")))) == {"held"}
    assert time.monotonic() - started < 10


def test_garbage_on_every_descriptor_is_answered(folder: Folder, parse: Parse) -> None:
    source = """
        import os
        from airflow.sdk import DAG
        for descriptor in range(256):
            try:
                os.write(descriptor, b"\\x00\\x00\\x00\\x04junk" * 100)
            except OSError:
                pass
        os._exit(0)
        """
    assert problem_of(parse(folder.write("garbage.py", source)))


def test_closing_every_descriptor_is_answered(folder: Folder, parse: Parse) -> None:
    source = "import os\nfrom airflow.sdk import DAG\nos.closerange(0, 256)\n"
    assert problem_of(parse(folder.write("closed.py", source, one_dag("closed"))))


def test_a_dag_that_can_not_be_serialised_is_a_problem(folder: Folder, parse: Parse) -> None:
    source = """
        from datetime import datetime
        from airflow.sdk import DAG
        from airflow.timetables.simple import NullTimetable
        class Unregistered(NullTimetable):
            pass
        dag = DAG("unserialisable", schedule=Unregistered(), start_date=datetime(2024, 1, 1))
        """
    problem = problem_of(parse(folder.write("unserialisable.py", source)))
    assert problem.file == "unserialisable.py"
    assert "Unregistered" in problem.message


def test_a_dag_with_a_cycle_is_a_problem(folder: Folder, parse: Parse) -> None:
    source = """
        from airflow.sdk import DAG
        from airflow.providers.standard.operators.empty import EmptyOperator
        with DAG("cycle", schedule=None):
            a, b = EmptyOperator(task_id="a"), EmptyOperator(task_id="b")
            a >> b >> a
        """
    assert "ycle" in problem_of(parse(folder.write("cycle.py", source))).message


def test_a_file_with_a_good_and_a_bad_dag_gives_both(folder: Folder, parse: Parse) -> None:
    source = """
        from datetime import datetime
        from airflow.sdk import DAG
        from airflow.timetables.simple import NullTimetable
        class Unregistered(NullTimetable):
            pass
        good = DAG("good", schedule=None)
        bad = DAG("bad", schedule=Unregistered(), start_date=datetime(2024, 1, 1))
        """
    parsed = parse(folder.write("mixed.py", source))
    assert [dag.dag_id for dag in parsed.dags] == ["good"]
    assert len(parsed.import_problems) == 1


def test_sibling_modules_can_be_imported(folder: Folder, parse: Parse) -> None:
    folder.write("lib/__init__.py", "")
    folder.write("lib/names.py", "NAME = 'from_sibling'\n")
    source = "from airflow.sdk import DAG\nfrom lib.names import NAME\ndag = DAG(NAME, schedule=None)\n"
    assert dag_ids(parse(folder.write("sibling.py", source))) == {"from_sibling"}


def test_data_beside_the_file_can_be_read(folder: Folder, parse: Parse) -> None:
    folder.write("team/data.txt", "from_data")
    source = """
        from pathlib import Path
        from airflow.sdk import DAG
        dag = DAG((Path(__file__).parent / "data.txt").read_text(), schedule=None)
        """
    assert dag_ids(parse(folder.write("team/data.py", source))) == {"from_data"}


def test_modules_in_a_zip_import_each_other(folder: Folder, parse: Parse) -> None:
    main = "from airflow.sdk import DAG\nfrom lib.names import NAME\ndag = DAG(NAME, schedule=None)\n"
    write_zip(
        folder.root / "pack.zip",
        {"main.py": main, "lib/__init__.py": "", "lib/names.py": "NAME = 'zipped'\n"},
    )
    (dag,) = parse("pack.zip").dags
    assert dag.dag_id == "zipped"
    assert dag.data()["dag"]["fileloc"] == str(folder.root / "pack.zip/main.py")


def test_problems_in_a_zip_name_the_module_and_its_line(folder: Folder, parse: Parse) -> None:
    broken = "from airflow.sdk import DAG\n\nraise ValueError('broken')\n"
    write_zip(
        folder.root / "pack.zip",
        {"broken.py": broken, "fine.py": "from airflow.sdk import DAG\nd = DAG('fine', schedule=None)\n"},
    )
    parsed = parse("pack.zip")
    assert [dag.dag_id for dag in parsed.dags] == ["fine"]
    (problem,) = parsed.import_problems
    assert problem.public() == {"file": "pack.zip/broken.py", "line": 3, "message": "ValueError: broken"}


def test_sys_exit_in_a_zip_is_a_problem(folder: Folder, parse: Parse) -> None:
    write_zip(
        folder.root / "pack.zip", {"leaves.py": "import sys\nfrom airflow.sdk import DAG\nsys.exit(4)\n"}
    )
    assert problem_of(parse("pack.zip")).message.startswith("the file called sys.exit(4)")


def test_a_re_parse_within_the_same_second_sees_the_new_bytes(folder: Folder, parse: Parse) -> None:
    def write(name: str) -> None:
        # Same size and time of change: all that a .pyc knows of its source.
        folder.write("names.py", f"NAME = '{name}'\n")
        folder.write(
            "fresh.py",
            "from airflow.sdk import DAG\nfrom names import NAME\n",
            f"dag = DAG(NAME + '_{name}', schedule=None)\n",
        )
        for path in ("names.py", "fresh.py"):
            os.utime(folder.root / path, (1_700_000_000, 1_700_000_000))

    for name in ("aaaa", "bbbb", "cccc"):
        write(name)
        assert dag_ids(parse("fresh.py")) == {f"{name}_{name}"}


def test_a_stale_pyc_beside_the_file_is_not_used(folder: Folder, parse: Parse) -> None:
    import py_compile

    folder.write("names.py", "NAME = 'stale'\n")
    os.utime(folder.root / "names.py", (1_700_000_000, 1_700_000_000))
    py_compile.compile(str(folder.root / "names.py"), doraise=True)
    folder.write("names.py", "NAME = 'fresh'\n")
    os.utime(folder.root / "names.py", (1_700_000_000, 1_700_000_000))
    source = "from airflow.sdk import DAG\nfrom names import NAME\ndag = DAG(NAME, schedule=None)\n"
    assert dag_ids(parse(folder.write("cached.py", source))) == {"fresh"}


def test_parsing_leaves_no_file_in_the_dag_folder(folder: Folder, parse: Parse) -> None:
    folder.write("names.py", "NAME = 'clean'\n")
    source = "from airflow.sdk import DAG\nfrom names import NAME\ndag = DAG(NAME, schedule=None)\n"
    parse(folder.write("clean.py", source))
    assert sorted(entry.name for entry in folder.root.iterdir()) == ["clean.py", "names.py"]


def test_many_files_come_back_in_the_order_asked_for(folder: Folder, shared_parser: Parser) -> None:
    paths = [folder.write(f"many_{number}.py", one_dag(f"dag_{number}")) for number in range(40)]
    paths.reverse()
    parsed = shared_parser.parse(folder.tree, paths)
    assert [file.path for file in parsed] == paths
    assert all(len(file.dags) == 1 for file in parsed)


def test_one_slow_file_does_not_lose_the_others(folder: Folder, impatient_parser: Parser) -> None:
    paths = [folder.write(f"many_{number}.py", one_dag(f"dag_{number}")) for number in range(6)]
    paths.insert(2, folder.write("loop.py", "from airflow.sdk import DAG\nwhile True:\n    pass\n"))
    outcomes = list(impatient_parser.outcomes(folder.tree, paths))
    timeouts = [outcome for outcome in outcomes if isinstance(outcome, ParseTimeout)]
    assert [timeout.extra["file"] for timeout in timeouts] == ["loop.py"]
    assert len(outcomes) == 7
