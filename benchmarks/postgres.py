"""A PostgreSQL server of its own for one measurement: Debian's package, an empty database, a free port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30
# PostgreSQL does not run as root; Debian's package brings this user.
USER = "postgres" if os.geteuid() == 0 else None


@contextmanager
def running() -> Iterator[str]:
    """Its address, without a driver: `airflow@127.0.0.1:PORT/postgres`."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="xtended-postgres-"))
    try:
        if USER:
            shutil.chown(folder, USER)
        data = folder / "data"
        initdb = [programs[-1] / "initdb", "-D", data, "-U", "airflow", "-A", "trust", "-E", "UTF8"]
        subprocess.run(initdb, user=USER, check=True, stdout=subprocess.DEVNULL, cwd="/")
        port = _free_port()
        options = ["-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs[-1] / "postgres", "-D", data, *options], user=USER, stderr=log, cwd="/"
            )
        try:
            _wait(port, server, folder / "log")
            yield f"airflow@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.1)
        else:
            return
