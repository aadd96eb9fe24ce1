"""Keeping hold of every process that DAG code starts, daemons and fork bombs included.

Linux lets a process adopt its orphaned descendants (PR_SET_CHILD_SUBREAPER), so that a DAG file's double
fork does not get away. Elsewhere only the DAG process's own group can be ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_LINUX = sys.platform.startswith("linux")
_CHILDREN_LISTED = Path(f"/proc/self/task/{os.getpid()}/children").exists()
_libc = ctypes.CDLL(None, use_errno=True) if _LINUX else None


def adopt_orphans() -> None:
    """From now on, orphans among this process's descendants become its children. Not inherited by fork."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def detach() -> None:
    """Go on as nobody's child: the process that was started ends, with status 0.

    Who started it may be Gunicorn's master, and Airflow 2 takes every child of that for a worker: with one too many
    it gives the web server up after two minutes.
    """
    if os.fork() != 0:
        os._exit(0)


def die_with_parent(signal_number: signal.Signals, parent: int) -> None:
    """Have the kernel send this process a signal when process `parent`, which forked it, ends."""
    _prctl(_PR_SET_PDEATHSIG, int(signal_number))
    if _LINUX and os.getppid() != parent:
        os.kill(os.getpid(), signal_number)


def _prctl(option: int, value: int) -> None:
    if _libc is not None and _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def descendants(pid: int) -> list[int]:
    """All living descendants of a process, parents first; empty where the system can't say."""
    found: list[int] = []
    todo = [pid]
    children_of = _children if _CHILDREN_LISTED else _children_by_scan()
    while todo:
        children = children_of(todo.pop())
        found += children
        todo += children
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                children += [int(child) for child in (task / "children").read_text().split()]
    return children


def _children_by_scan() -> Callable[[int], list[int]]:
    """Some kernels are built without the list of children: read every process's parent instead."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    return lambda pid: children.get(pid, [])


def children() -> list[int]:
    """This process's own children, adopted ones included."""
    return _children(os.getpid()) if _CHILDREN_LISTED else _children_by_scan()(os.getpid())


def end(pid: int) -> None:
    """Kill one process, and all of its descendants that can be seen."""
    for each in (*descendants(pid), pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)


def kill_descendants() -> int:
    """Kill every descendant of this process that can be seen; answers how many that were."""
    living = descendants(os.getpid())
    for pid in living:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(living)


def end_descendants(patience: float = 10.0) -> bool:
    """Kill every descendant of this process and reap it, again until there is none.

    Answers whether none is left: one that is stuck in the kernel may outlive `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while not _reap():
        kill_descendants()
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def _reap() -> bool:
    """Take the exit status of every child that has ended; answers whether no child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False
