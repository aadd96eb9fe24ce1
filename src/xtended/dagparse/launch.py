"""Starting the warm parser, once per Airflow installation, and connecting to it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from xtended import __version__
from xtended.problems import ParserUnavailable

log = logging.getLogger(__name__)

SOCKET_PATH_LIMIT = 107 if sys.platform.startswith("linux") else 103
"""Bytes that the path of a Unix socket may have."""

START_PATIENCE = 60.0
"""Seconds from starting the parser's process until its socket has to be there (Airflow loads after that)."""


class Launcher:
    """Knows where the parser listens, and how to get it to."""

    def __init__(
        self, backend: str, runtime_dir: Path, idle_seconds: float, environ: Mapping[str, str]
    ) -> None:
        self._backend = backend
        self._idle_seconds = idle_seconds
        self._environ = environ
        self.path = _choose_path(runtime_dir, f"parser-{_fingerprint(backend, idle_seconds, environ)}.sock")

    def connect(self) -> socket.socket | None:
        """A connection to the parser that is there; None where there is none. Raises ParserUnavailable."""
        path = self._socket_path()
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionError):
            connection.close()
            return None
        except OSError:
            connection.close()
            raise
        return connection

    def start(self) -> None:
        """Start the parser unless it is there by now: its socket is, afterwards. Raises ParserUnavailable."""
        path = self._socket_path()
        try:
            with FileLock(path.with_suffix(".lock"), timeout=START_PATIENCE):
                if self._listening():
                    return
                status = self._spawn(path)
                if status or not self._listening():
                    raise self._failed(f"it ended with status {status}")
        except Timeout:
            raise ParserUnavailable("The DAG parser is still being started; try again.") from None
        except subprocess.TimeoutExpired:
            raise self._failed(f"it does not listen after {START_PATIENCE:.0f} seconds") from None

    def _listening(self) -> bool:
        connection = self.connect()
        if connection is None:
            return False
        connection.close()
        return True

    def _spawn(self, path: Path) -> int:
        """The exit status of what goes on as the parser once it listens: 0 where it does."""
        command = [sys.executable, "-P", "-m", "xtended.dagparse.server"]
        command += [
            "--socket",
            os.fspath(path),
            "--backend",
            self._backend,
            "--idle",
            str(self._idle_seconds),
        ]
        with path.with_suffix(".log").open("wb") as errors:
            return subprocess.run(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=self._environ,
                start_new_session=True,
                timeout=START_PATIENCE,
                check=False,
            ).returncode

    def _failed(self, how: str) -> ParserUnavailable:
        log.error("The DAG parser did not start, %s: %s", how, self.last_words())
        return ParserUnavailable("The DAG parser could not be started; the web server's log says why.")

    def last_words(self) -> str:
        """The end of what the parser's own process wrote to its log: never DAG code, never DAG output."""
        with contextlib.suppress(OSError):
            return self._socket_path().with_suffix(".log").read_text(errors="replace")[-4000:].strip()
        return ""

    def _socket_path(self) -> Path:
        _own_directory(self.path.parent)
        return self.path


def _choose_path(runtime_dir: Path, name: str) -> Path:
    """`name` in the runtime directory, or in a short one that belongs to it where that path is too long."""
    path = runtime_dir.absolute() / name
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(path.parent)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"xtended-{os.geteuid()}-{digest}" / name


def _fingerprint(backend: str, idle_seconds: float, environ: Mapping[str, str]) -> str:
    """The same for all workers of one Airflow; another one after an upgrade or a change of settings."""
    shared = [__version__, sys.executable, backend, str(idle_seconds)]
    shared += [
        f"{name}={value}"
        for name, value in sorted(environ.items())
        if name.startswith("AIRFLOW") or name == "PYTHONPATH"
    ]
    config = Path(
        environ.get("AIRFLOW_CONFIG") or Path(environ.get("AIRFLOW_HOME", "~/airflow"), "airflow.cfg")
    )
    with contextlib.suppress(OSError):
        shared.append(str(config.expanduser().stat().st_mtime_ns))
    return hashlib.sha256("\0".join(shared).encode(errors="surrogateescape")).hexdigest()[:12]


def _own_directory(path: Path) -> None:
    """Make `path` a directory that nobody else can put a socket into. Raises ParserUnavailable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            if stat.S_IMODE(found.st_mode) != 0o700:
                path.chmod(0o700)
            return
    except OSError as error:
        log.error("The DAG parser's directory %s can't be used: %s", path, error)
        raise ParserUnavailable("The directory of the DAG parser's socket can't be used.") from error
    log.error("The DAG parser's directory %s is not a directory of this user", path)
    raise ParserUnavailable("The directory of the DAG parser's socket belongs to another user of the server.")
