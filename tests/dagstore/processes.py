"""Running parts of a test in a forked process, which may be killed or starved."""

from __future__ import annotations

import errno
import itertools
import os
import sys
import traceback
from collections.abc import Callable

SYSTEM_CALLS = ["rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "fsync", "open", "chmod"]


def forked(work: Callable[[], None]) -> int:
    """Start `work` in a child; answers its pid. The child exits with 0, or 1 where `work` raises."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a child; its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(work: Callable[[], None]) -> int:
    return ended(forked(work))


def at_system_call(limit: int, act: Callable[[], None]) -> None:
    """Have `act` come before call number `limit` of those, in this process, that change files."""
    count = itertools.count(1)
    for name in SYSTEM_CALLS:
        real = getattr(os, name)

        def call(*arguments, real=real, name=name, **options):
            reads = name == "open" and not (len(arguments) > 1 and arguments[1] & (os.O_CREAT | os.O_WRONLY))
            if not reads and next(count) == limit:
                act()
            return real(*arguments, **options)

        setattr(os, name, call)


def failing(number: int) -> Callable[[], None]:
    def act() -> None:
        raise OSError(number, os.strerror(number), "/a/secret/path")

    return act


FAULTS = [errno.ENOSPC, errno.EIO, errno.EACCES]
