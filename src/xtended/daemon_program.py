"""Start a program as nobody's child, and leave a record of it.

    python -P -m xtended.daemon_program RECORD STDOUT STDERR PROGRAM [ARGUMENT...]

RECORD is a JSON file, which gets the members `pid` and `created`, the moment of the process's creation by which it is
told from another that has its pid later. Ends with status 0 once that is written and the program is about to be run.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import psutil


def main(record: str, stdout: str, stderr: str, *command: str) -> int:
    """Its exit status in the process that was started; the program takes the place of that one's child."""
    ready, tell = os.pipe()
    if os.fork() == 0:
        _become(Path(record), (stdout, stderr), command, tell)
    os.close(tell)
    return 0 if os.read(ready, 1) else 1


def _become(record: Path, outputs: tuple[str, str], command: tuple[str, ...], tell: int) -> NoReturn:
    os.setsid()
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    opened = [os.open(os.devnull, os.O_RDONLY), *(os.open(path, flags, 0o600) for path in outputs)]
    for ours, theirs in zip(opened, (0, 1, 2), strict=True):
        os.dup2(ours, theirs)
    about = json.loads(record.read_text())
    about |= {"pid": os.getpid(), "created": psutil.Process().create_time()}
    draft = record.with_suffix(".draft")
    draft.write_text(json.dumps(about))
    draft.replace(record)
    os.write(tell, b"1")
    os.execvp(command[0], command)  # noqa: S606 - a list, of which no shell gets to see anything


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
