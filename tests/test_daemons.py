"""A daemon goes on without whoever started it, is found again, and ends with all that it has started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from xtended.daemons import Daemons, NewDaemon
from xtended.problems import Conflict, NotFound

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(300)"]
FAMILY = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(300)
"""
LATE = """
import signal, subprocess, sys, time
def asked(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    print(child.pid, flush=True)
    {ends}
signal.signal(signal.SIGTERM, asked)
print("ready", flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture
def daemons(tmp_path: Path):
    found = Daemons(tmp_path / "services")
    yield found
    for name in ("one", "two"):
        daemon = found.find(name)
        if daemon is not None and daemon.pid is not None:
            psutil.Process(daemon.pid).kill()


def new(command: list[str] = SLEEP, name: str = "one", **more: object) -> NewDaemon:
    return NewDaemon(name, command, "ada", {"shown": 1}, **more)  # type: ignore[arg-type]


def eventually(path: Path, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in (path.read_text() if path.exists() else ""):
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.05)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_is_nobodys_child_and_leads_a_session(daemons: Daemons, tmp_path: Path) -> None:
    daemon = daemons.start(new())
    assert daemon.pid is not None
    assert daemon.pid not in {child.pid for child in psutil.Process().children(recursive=True)}
    assert os.getsid(daemon.pid) == daemon.pid
    assert (daemon.user, daemon.arguments) == ("ada", {"shown": 1})
    eventually(tmp_path / "services" / "one.log", "here")


def test_it_outlives_a_process_that_is_killed(daemons: Daemons, tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
from xtended.daemons import Daemons, NewDaemon
Daemons(Path({str(tmp_path / "services")!r})).start(NewDaemon("one", {SLEEP!r}, "ada", {{}}))
os.killpg(0, signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], start_new_session=True, check=False)
    assert done.returncode == -signal.SIGKILL
    found = daemons.find("one")
    assert found is not None
    assert found.pid is not None
    daemons.stop("one")
    assert gone(found.pid)


def test_there_is_one_of_each_name(daemons: Daemons) -> None:
    first = daemons.start(new())
    with pytest.raises(Conflict):
        daemons.start(new())
    daemons.start(new(name="two"))
    assert daemons.find("one") == first
    daemons.stop("one")
    with pytest.raises(NotFound):
        daemons.stop("one")
    assert daemons.start(new()).pid != first.pid


def test_what_it_has_started_ends_with_it(
    daemons: Daemons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xtended.daemons.GRACE_SECONDS", 1.0)
    daemon = daemons.start(new([sys.executable, "-c", FAMILY]))
    log = tmp_path / "services" / "one.log"
    eventually(log, "\n")
    child = int(log.read_text())
    daemons.stop("one")
    assert daemon.pid is not None
    assert gone(daemon.pid)
    assert gone(child)


@pytest.mark.parametrize("ends", ["pass", "sys.exit()"], ids=["goes on", "ends"])
def test_what_it_starts_when_it_is_asked_to_end_ends_too(
    daemons: Daemons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """Airflow 2's scheduler, asked while it starts, can take that for a fault of a library and go on."""
    monkeypatch.setattr("xtended.daemons.GRACE_SECONDS", 1.0)
    program = LATE.format(ends=ends)
    daemons.start(new([sys.executable, "-c", program]))
    log = tmp_path / "services" / "one.log"
    eventually(log, "ready")
    daemons.stop("one")
    children = [int(line) for line in log.read_text().splitlines()[1:]]
    assert children
    assert all(gone(child) for child in children)


def test_one_that_ends_at_once_is_told(daemons: Daemons, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="ended as soon as"):
        daemons.start(new([sys.executable, "-c", "raise SystemExit('no such option')"]))
    assert "no such option" in (tmp_path / "services" / "one.log").read_text()
    with pytest.raises(Conflict):
        daemons.start(new(["/no/such/program"]))
    found = daemons.find("one")
    assert found is not None
    assert found.pid is None


def test_another_process_with_its_pid_is_left_alone(daemons: Daemons, tmp_path: Path) -> None:
    daemons.start(new())
    daemons.stop("one")
    record = tmp_path / "services" / "one.json"
    about = json.loads(record.read_text())
    record.write_text(json.dumps({**about, "pid": os.getpid()}))
    found = daemons.find("one")
    assert found is not None
    assert found.pid is None
    with pytest.raises(NotFound):
        daemons.stop("one")


def test_arguments_are_passed_as_they_are(daemons: Daemons, tmp_path: Path) -> None:
    show = "import sys, time; print(sys.argv[1:], flush=True); time.sleep(300)"
    hostile = ["; touch pwned", "$(id)", "`id`", "a b", "--x=|y"]
    daemons.start(new([sys.executable, "-c", show, *hostile]))
    eventually(tmp_path / "services" / "one.log", repr(hostile))


def test_a_pid_file_of_a_running_program_is_left_alone(daemons: Daemons, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.pid"
    theirs.write_text(f"{os.getpid()}\n")
    with pytest.raises(Conflict, match="theirs"):
        daemons.start(new(pid_file=theirs))
    assert theirs.read_text() == f"{os.getpid()}\n"
    assert daemons.find("one") is None


def test_outputs_and_pid_go_where_they_are_sent(daemons: Daemons, tmp_path: Path) -> None:
    both = "import sys, time; print('out', flush=True); print('err', file=sys.stderr, flush=True); time.sleep(300)"
    where = {name: tmp_path / name for name in ("stdout", "stderr", "pid_file")}
    daemon = daemons.start(new([sys.executable, "-c", both], **where))
    eventually(where["stdout"], "out")
    eventually(where["stderr"], "err")
    assert int(where["pid_file"].read_text()) == daemon.pid
