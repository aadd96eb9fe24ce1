"""The warm parser: one process per Airflow installation that has Airflow loaded and forks for requests.

    python -P -m xtended.dagparse.server --socket PATH --backend MODULE:ATTRIBUTE --idle SECONDS

It has one thread, no database connection, and runs no DAG code itself. It ends when it has had no request
for `--idle` seconds, when no web worker holds a lease any more, and on SIGTERM; every process that it started
ends with it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import operator
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, cast

from xtended.dagparse import processes, supervisor
from xtended.dagparse.protocol import FrameReader, ParseRequest, ProtocolError, encode, send_request

LEASE_GRACE = 3.0
"""Seconds without any lease before the parser ends: time for a web worker to be replaced."""

STOP_GRACE = 2.0
"""Seconds that a supervisor gets to end its descendants when it is told to end."""

MAX_RUNNING = max(8, 2 * (os.cpu_count() or 1))
"""Requests that are parsed at the same time; more wait for their turn."""

MAX_LOST_SPARES = 3
"""Supervisors in a row that end before they get a request, after which something is thoroughly wrong."""


@dataclass(eq=False)
class _Client:
    connection: socket.socket
    reader: FrameReader = field(default_factory=FrameReader)
    lease: bool = False
    request: ParseRequest | None = None
    supervisor: int | None = None


@dataclass(frozen=True)
class _Spare:
    """A supervisor that waits for its request."""

    pid: int
    orders: socket.socket


class Server:
    """The loop that accepts, forks and buries."""

    _backend: supervisor.Backend

    def __init__(self, path: Path, idle: float) -> None:
        self._path = path
        self._idle = idle
        self._clients: set[_Client] = set()
        self._waiting: deque[_Client] = deque()
        self._running: dict[int, _Client] = {}
        self._ending: dict[int, float] = {}
        self._spare: _Spare | None = None
        self._lost_spares = 0
        self._stopping = False
        self._last_request = self._last_lease = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._listener = _listen(path)
        self._inode = path.stat().st_ino
        self._wakeup, self._wakeup_writer = socket.socketpair()

    def serve(self, backend: supervisor.Backend) -> None:
        """Answer requests until nobody needs the parser any more."""
        self._backend = backend
        self._watch_signals()
        self._last_request = self._last_lease = time.monotonic()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._drain_wakeup)
        try:
            while not self._stopping and self._needed():
                self._start_waiting()
                for key, _ in self._selector.select(timeout=1.0):
                    key.data()
                self._bury()
        finally:
            self._stop()

    def _watch_signals(self) -> None:
        for end in (self._wakeup, self._wakeup_writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def _end(self, number: int, frame: object) -> None:
        self._stopping = True

    def _needed(self) -> bool:
        now = time.monotonic()
        if any(client.lease for client in self._clients):
            self._last_lease = now
        if self._running or self._waiting:
            self._last_request = now
        return now - self._last_lease < LEASE_GRACE and now - self._last_request < self._idle

    def _drain_wakeup(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wakeup.recv(4096):
                pass

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            client = _Client(connection)
            self._clients.add(client)
            self._selector.register(connection, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: _Client) -> None:
        try:
            data = client.connection.recv(2**16)
            if not data:
                self._drop(client)
                return
            for frame in client.reader.feed(data):
                self._take(client, frame)
        except BlockingIOError:
            pass
        except (OSError, ProtocolError):
            self._drop(client)

    def _take(self, client: _Client, frame: dict[str, object]) -> None:
        self._last_request = time.monotonic()
        if frame["kind"] == "lease":
            client.lease = True
        elif frame["kind"] == "ping":
            client.connection.send(encode({"kind": "pong"}))
        elif frame["kind"] == "parse" and client.request is None:
            client.request = ParseRequest.read(frame)
            self._waiting.append(client)
        else:
            raise ProtocolError(f"unexpected frame {frame['kind']!r}")

    def _drop(self, client: _Client) -> None:
        """Forget a client that hung up or whose request is done; abort what it still has running."""
        if client not in self._clients:
            return
        self._clients.discard(client)
        self._selector.unregister(client.connection)
        client.connection.close()
        if client in self._waiting:
            self._waiting.remove(client)
        if client.supervisor is not None:
            os.kill(client.supervisor, signal.SIGTERM)
            self._ending[client.supervisor] = time.monotonic() + STOP_GRACE

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < MAX_RUNNING:
            client = self._waiting.popleft()
            spare = self._spare or self._fork_spare()
            self._spare = None
            try:
                send_request(spare.orders, cast(ParseRequest, client.request), client.connection)
            except OSError:
                # The spare has been killed; it is buried in a moment.
                self._waiting.appendleft(client)
                continue
            finally:
                spare.orders.close()
            self._lost_spares = 0
            client.supervisor = spare.pid
            self._running[spare.pid] = client
        if self._spare is None:
            self._spare = self._fork_spare()

    def _fork_spare(self) -> _Spare:
        orders, theirs = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_supervisor(theirs, orders, parent)
        theirs.close()
        return _Spare(pid, orders)

    def _become_supervisor(self, orders: socket.socket, other_end: socket.socket, parent: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            # The descriptors alone: unregistering would reach into the parent's selector.
            self._selector.close()
            for owned in (other_end, self._listener, self._wakeup, self._wakeup_writer):
                owned.close()
            for client in self._clients:
                client.connection.close()
            supervisor.run(orders, self._backend, parent)
        finally:
            os._exit(1)

    def _bury(self) -> None:
        """Reap what has ended, and end what does not: supervisors, and what those have left to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if self._spare is not None and pid == self._spare.pid:
                self._spare.orders.close()
                self._spare = None
                self._lost_spares += 1
                if self._lost_spares == MAX_LOST_SPARES:
                    raise RuntimeError("supervisors end before they have been given anything to do")
            self._ending.pop(pid, None)
            client = self._running.pop(pid, None)
            if client is not None:
                client.supervisor = None
                if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
                    self._tell_timeout(client)
                self._drop(client)
        for pid, deadline in self._ending.items():
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
        mine = {*self._running, *([self._spare.pid] if self._spare else [])}
        for pid in processes.children():
            if pid not in mine:
                processes.end(pid)

    def _tell_timeout(self, client: _Client) -> None:
        if client.request is not None:
            with contextlib.suppress(OSError):
                client.connection.send(encode({"kind": "timeout", "seconds": client.request.timeout}))

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            # Another parser may have taken the name over.
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        self._listener.close()
        if self._spare is not None:
            self._spare.orders.close()
        for client in list(self._clients):
            self._drop(client)
        deadline = time.monotonic() + STOP_GRACE
        while self._running and time.monotonic() < deadline:
            time.sleep(0.01)
            self._bury()
        processes.end_descendants()


def _listen(path: Path) -> socket.socket:
    """A listening socket that only this user can reach; takes the place of a dead parser's atomically."""
    draft = path.with_name(f"{path.name[:1]}{os.getpid()}")
    listener = socket.socket(socket.AF_UNIX)
    draft.unlink(missing_ok=True)
    listener.bind(os.fspath(draft))
    draft.chmod(0o600)
    listener.listen(128)
    listener.setblocking(False)
    draft.rename(path)
    return listener


def _load(name: str) -> supervisor.Backend:
    module, _, attribute = name.partition(":")
    return cast(supervisor.Backend, operator.attrgetter(attribute)(importlib.import_module(module)))


def main(arguments: list[str] | None = None) -> int:
    """Serve until nobody needs the parser any more."""
    options = argparse.ArgumentParser(description="The warm DAG parser of Airflow Xtended.")
    options.add_argument("--socket", type=Path, required=True, help="path of the Unix socket to listen at")
    options.add_argument("--backend", required=True, help="module:attribute that parses one file")
    options.add_argument("--idle", type=float, required=True, help="seconds without a request before it ends")
    given = options.parse_args(arguments)
    # Listening comes first, so that requests queue up while Airflow is being loaded.
    server = Server(given.socket, given.idle)
    processes.detach()
    processes.adopt_orphans()
    backend = _load(given.backend)
    # What is loaded now stays for good: keep the collector of every forked process from touching its pages.
    gc.collect()
    gc.freeze()
    server.serve(backend)
    return 0


if __name__ == "__main__":
    sys.exit(main())
