"""`make run` tells when Airflow is ready, and ends with every process that it started."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PATIENCE = 300
STUBBORN_FAMILY = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
# Three generations, the last one in a session of its own and without its parent.
parent = "import subprocess; subprocess.Popen(['setsid', 'sleep', '600'])"
subprocess.Popen([sys.executable, "-c", parent]).wait()
print("ready", flush=True)
time.sleep(600)
"""
STOP_A_FAMILY = """
import sys, time
from pathlib import Path
from local_airflow.processes import ProcessGroup, tail
group = ProcessGroup({}, Path(sys.argv[1]))
family = group.start("family", [sys.executable, "-c", sys.argv[2]])
while "ready" not in tail(family.log):
    time.sleep(0.05)
import psutil
print(*(child.pid for child in psutil.Process().children(recursive=True)))
group.stop(grace=0.5)
"""

ADOPT_AN_ORPHAN = """
import sys
from pathlib import Path
import psutil
from local_airflow.processes import ProcessGroup
group = ProcessGroup({}, Path(sys.argv[1]))
leaves_one = "import subprocess, time; subprocess.Popen(['sleep', '0']); time.sleep(1)"
group.start("family", [sys.executable, "-c", leaves_one]).process.wait()
print([child.status() for child in psutil.Process().children()])
group.bury()
print([child.status() for child in psutil.Process().children()])
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "home"


@pytest.fixture
def run(home):
    """Starts run.py with arguments; its output is a pipe. Killed at the end where it still runs."""
    started = []

    def start(*arguments, **environment):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW") and k != "PORT"}
        process = subprocess.Popen(
            [sys.executable, SCRIPTS / "run.py", *arguments],
            env={**inherited, "AIRFLOW_HOME": str(home), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(60)


def output_until_ready(process, ready_file):
    deadline = time.monotonic() + PATIENCE
    while not ready_file.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "not ready"
        time.sleep(0.2)
    return json.loads(ready_file.read_text())


def test_all_components_come_up_and_sigterm_leaves_none_of_them(run, tmp_path):
    process = run("--port", "0", "--ready-file", str(tmp_path / "ready"), ADMIN_PASSWORD="chosen")
    about = output_until_ready(process, tmp_path / "ready")
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 3
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert not [member for member in family if member.is_running()]
    assert f"is ready at {about['url']}" in said
    assert re.search(r"^ +admin +chosen$", said, re.MULTILINE)
    assert all(re.search(rf"^ +{name} +\S{{16}}$", said, re.MULTILINE) for name in ("op", "user", "viewer"))


def kill_triggerer(process, known=()):
    """Kill one that is not `known`, once there is one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for child in psutil.Process(process.pid).children():
            if child.pid not in known and "triggerer" in child.cmdline():
                child.kill()
                return
        time.sleep(0.1)
    pytest.fail("no triggerer runs")


def test_a_component_that_dies_is_started_again_unless_it_dies_at_once(run, tmp_path):
    process = run("--port", "0", "--only", "web,triggerer", "--ready-file", str(tmp_path / "ready"))
    output_until_ready(process, tmp_path / "ready")
    # A killed triggerer leaves a process of its own to us.
    known = {member.pid for member in psutil.Process(process.pid).children(recursive=True)}
    kill_triggerer(process)
    kill_triggerer(process, known)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.count("triggerer ended with status -9. ") == 2
    assert said.count("Starting it again.") == 1


def test_when_the_web_server_dies_the_rest_stop_and_its_log_is_shown(run, tmp_path):
    process = run("--port", "0", "--only", "web", "--ready-file", str(tmp_path / "ready"))
    output_until_ready(process, tmp_path / "ready")
    family = psutil.Process(process.pid).children(recursive=True)
    psutil.Process(process.pid).children()[0].kill()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert not [member for member in family if member.is_running()]
    assert re.search(r"server ended with status -9\. .*server\.log says:\n", said)


def test_a_port_that_is_taken_is_told_in_one_line(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = run(PORT=str(port))
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(said.splitlines()) == 1
    assert f"Port {port} " in said


def test_an_unknown_component_is_refused_with_the_known_ones(run):
    process = run("--only", "web,worker")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "no component worker: there are web, dag-processor, triggerer, scheduler" in said


def test_stopping_ends_a_family_that_ignores_it_down_to_its_orphans(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", STOP_A_FAMILY, str(tmp_path), STUBBORN_FAMILY],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    family = [int(pid) for pid in done.stdout.split()]
    assert len(family) == 2
    assert not [pid for pid in family if psutil.pid_exists(pid)]


def test_an_adopted_orphan_that_has_ended_is_not_listed_for_ever(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ADOPT_AN_ORPHAN, str(tmp_path)],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["['zombie']", "[]"]
