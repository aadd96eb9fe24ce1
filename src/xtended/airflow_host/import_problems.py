"""From the traceback text that Airflow records for a broken DAG file to what a client may see of it."""

from __future__ import annotations

import re
import signal
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

from xtended.airflow_host.base import ImportProblem

_FRAME = re.compile(r'^[\s|+]*File "(?P<file>[^"\n]+)", line (?P<line>\d+)', re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last):"


class ProblemReader:
    """Reads the tracebacks of files below `live_root`.

    `memory_bytes` is what the file was allowed; `private` are directories of the server that are not to be shown.
    """

    def __init__(self, live_root: Path, memory_bytes: int, private: Iterable[Path]) -> None:
        self._live_root = str(live_root)
        self._memory_bytes = memory_bytes
        self._shown = {self._live_root: ""} | {
            str(path): name
            for path, name in [*((path, "...") for path in private), *_server_directories()]
            if str(path) not in ("/", self._live_root)
        }

    def read(self, file: str, text: str) -> ImportProblem:
        """The problem of `file` (relative to the DAG folder), from a traceback or a bare message."""
        where, line = self._deepest_frame(text)
        return ImportProblem(file=where or file, line=line, message=self._message(text), stacktrace=text)

    def ended(self, file: str, exit_code: int) -> ImportProblem:
        """The problem of a file whose process ended before it was loaded; negative codes are signals."""
        if exit_code >= 0:
            message = f"the file ended its process with exit code {exit_code} while it was loaded"
        else:
            name = _signal_name(-exit_code)
            message = f"the file's process was ended by {name} while it was loaded"
            if -exit_code == signal.SIGKILL:
                message += "; the server may have run out of memory"
        return ImportProblem(file=file, line=None, message=message, stacktrace=message)

    def _deepest_frame(self, text: str) -> tuple[str | None, int | None]:
        prefix = self._live_root + "/"
        for frame in reversed(list(_FRAME.finditer(text))):
            if frame["file"].startswith(prefix):
                return frame["file"][len(prefix) :], int(frame["line"])
        return None, None

    def _message(self, text: str) -> str:
        message = _last_exception(text)
        if re.match(r"MemoryError\b", message):
            return f"the file used more than {self._memory_bytes // 2**20} MB of memory while it was loaded"
        if exit_code := re.fullmatch(r"SystemExit(?:: (.*))?", message, re.DOTALL):
            return f"the file called sys.exit({exit_code[1] or ''}) while it was loaded"
        return self.scrub(message)

    def scrub(self, text: str) -> str:
        """`text` without the server's directories: files of the DAG folder are named relative to it."""
        for directory in sorted(self._shown, key=len, reverse=True):
            shown = self._shown[directory]
            text = re.sub(
                re.escape(directory) + (r"(/|(?![\w.-]))" if shown else r"(/|(?![\w.-]))"),
                lambda match, shown=shown: shown + match[1] if shown else "" if match[1] else ".",
                text,
            )
        return text


def _server_directories() -> Iterable[tuple[str, str]]:
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    yield from ((path, "site-packages") for path in packages)
    yield sysconfig.get_path("stdlib"), "python"
    yield from ((prefix, "python") for prefix in {sys.prefix, sys.base_prefix} if prefix != "/usr")
    yield tempfile.gettempdir(), "tmp"
    yield str(Path.home()), "~"


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
