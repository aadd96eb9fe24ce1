"""From the traceback that Airflow records for a broken DAG file to what a client may see of it."""

from __future__ import annotations

import re
import signal
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from xtended.airflow_host.base import ImportProblem

_FRAME = re.compile(r'^[\s|+]*File "(?P<file>[^"\n]+)", line (?P<line>\d+)', re.MULTILINE)
SENSELESS = "the file's process sent something else than what the file defines"

_TRACEBACK = "Traceback (most recent call last):"

MAX_MESSAGE = 2000
"""Characters of an exception's text that a client gets; the rest is in the stacktrace."""


class ProblemReader:
    """Reads the tracebacks of files below `live_root`.

    `memory_bytes` is what the file was allowed; `private` are directories of the server, not to be shown.
    """

    def __init__(self, live_root: Path, memory_bytes: int, private: Iterable[Path]) -> None:
        self._live_root = str(live_root)
        self._memory_bytes = memory_bytes
        names = {str(path): "..." for path in private} | dict(_server_directories())
        names.pop("/", None)
        self._names = {**names, self._live_root: ""}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._directory = re.compile(f"({'|'.join(map(re.escape, longest_first))})(/|(?![\\w-]|\\.\\w))")

    def read(self, file: str, text: str) -> ImportProblem:
        """The problem of `file` (relative to the DAG folder), from a traceback or a bare message."""
        frames = list(self._frames(text))
        line = next((line for at, line in reversed(frames) if at == file), None)
        message = self._message(text)
        if frames and frames[-1][0] != file:
            message += " ({}, line {})".format(*frames[-1])
        return ImportProblem(file=file, line=line, message=message, stacktrace=text)

    def ended(self, file: str, exit_code: int) -> ImportProblem:
        """The problem of a file whose process ended before it was loaded; negative codes are signals."""
        if exit_code >= 0:
            message = f"the file ended its process with exit code {exit_code} while it was loaded"
        else:
            message = f"the file's process was ended by {_signal_name(-exit_code)} while it was loaded"
            if -exit_code == signal.SIGKILL:
                message += "; the server may be out of memory"
        return ImportProblem(file=file, line=None, message=message, stacktrace=message)

    def _frames(self, text: str) -> Iterator[tuple[str, int]]:
        """File and line of each frame in the DAG folder, deepest last."""
        for frame in _FRAME.finditer(text):
            if frame["file"].startswith(f"{self._live_root}/"):
                yield frame["file"][len(self._live_root) + 1 :], int(frame["line"])

    def _message(self, text: str) -> str:
        message = _last_exception(text)
        if re.match(r"MemoryError\b", message):
            return f"the file used more than {self._memory_bytes // 2**20} MB of memory while it was loaded"
        if exit_call := re.fullmatch(r"SystemExit(?:: (.*))?", message, re.DOTALL):
            message = f"the file called sys.exit({exit_call[1] or ''}) while it was loaded"
        scrubbed = self._scrub(message)
        return scrubbed if len(scrubbed) <= MAX_MESSAGE else scrubbed[:MAX_MESSAGE] + " ..."

    def _scrub(self, text: str) -> str:
        """`text` without the server's directories: files of the DAG folder are named relative to it."""

        def shown(found: re.Match[str]) -> str:
            name = self._names[found[1]]
            return name + found[2] if name else "" if found[2] else "."

        return self._directory.sub(shown, text)


def _server_directories() -> Iterator[tuple[str, str]]:
    yield tempfile.gettempdir(), "..."
    yield str(Path.home()), "~"
    yield from ((prefix, "python") for prefix in {sys.prefix, sys.base_prefix} - {"/usr", "/usr/local"})
    yield sysconfig.get_path("stdlib"), "python"
    for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}:
        yield path, "site-packages"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_exception(text: str) -> str:
    """What follows the last frame of a traceback: the exception's name and its message, all lines of it."""
    _, found, last = text.rpartition(_TRACEBACK)
    if not found:
        return text.strip()
    lines = last.splitlines()
    start = next((at for at, line in enumerate(lines) if line and not line[0].isspace()), 0)
    return "\n".join(lines[start:]).strip()
