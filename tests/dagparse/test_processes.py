"""No process gets away, on kernels that list a process's children and on those that don't."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xtended.dagparse import processes

FAMILY = """
import os, sys, time
from xtended.dagparse import processes
processes.adopt_orphans()
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
assert len(processes.descendants(os.getpid())) >= 3
assert processes.end_descendants()
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("alone", flush=True)
"""


def test_orphans_are_adopted_and_ended() -> None:
    assert (
        subprocess.run([sys.executable, "-c", FAMILY], check=True, capture_output=True).stdout == b"alone\n"
    )


def test_descendants_are_found_without_the_kernels_list(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sh", "-c", "sleep 1000 & echo; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        listed = processes.descendants(os.getpid())
        monkeypatch.setattr(processes, "_CHILDREN_LISTED", False)
        assert sorted(processes.descendants(os.getpid())) == sorted(listed)
        assert len(processes.descendants(shell.pid)) == 1
        processes.end(shell.pid)
