"""Requests' transport with checked addresses and one deadline for everything."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from xtended.problems import SourceFailed
from xtended.sources.addresses import OutboundPolicy, resolve


class Deadline:
    """The time that one fetch has, and its connections, which `cut` ends where that is up.

    A socket's own timeout starts anew with each byte that arrives, so a server that drips bytes would never
    reach it.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._watched: list[socket.socket] = []
        self._copies: list[socket.socket] = []
        self._lock = threading.Lock()

    @property
    def remaining(self) -> float:
        """Seconds left, never 0 or less: to a socket 0 means not to block."""
        return max(self._end - time.monotonic(), 0.001)

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._end

    def missed(self) -> SourceFailed:
        return SourceFailed(f"Fetching the URL took longer than {self._seconds:g} seconds.")

    def watch(self, connection: socket.socket) -> None:
        """Raises TimeoutError where the time is up already."""
        # A duplicate reaches the connection even after TLS has taken the socket object over.
        with self._lock:
            if self.passed:
                raise TimeoutError
            self._copies.append(connection.dup())
            self._watched.append(self._copies[-1])

    def watch_copy(self, connection: socket.socket) -> None:
        """As `watch`, of a duplicate that its owner keeps for as long as the deadline: to make one takes its time."""
        with self._lock:
            self._watched.append(connection)

    def cut(self) -> None:
        """End the connections; for another thread than the one that waits for them."""
        with self._lock:
            for connection in self._watched:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            self._watched.clear()
            for copy in self._copies:
                copy.close()
            self._copies.clear()


@contextmanager
def deadline_of(seconds: float) -> Iterator[Deadline]:
    """A deadline with a thread of its own that cuts it in time."""
    deadline = Deadline(seconds)
    timer = threading.Timer(seconds, deadline.cut)
    timer.daemon = True
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()
        deadline.close()


class GuardedAdapter(HTTPAdapter):
    """Requests' transport, with every connection opened by `dial`.

    It is used without a `requests.Session`: that reads proxies and .netrc from the environment (a proxy
    would look the name up itself, past our check), and loads the whole body of a redirect.
    """

    def __init__(self, policy: OutboundPolicy, deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__(max_retries=0)
        self.poolmanager.pool_classes_by_scheme = pool_classes(
            lambda host, port: dial(host, port, policy, deadline), HTTPConnection, HTTPSConnection
        )

    def __enter__(self) -> GuardedAdapter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, url: str, credentials: tuple[str, str] | None) -> requests.Response:
        """The response to a GET, its body unread. `credentials` are for HTTP basic."""
        headers = {"User-Agent": "airflow-xtended", "Accept": "*/*", "Accept-Encoding": "identity"}
        request = requests.Request("GET", url, headers=headers, auth=credentials)
        return self.send(
            request.prepare(), stream=True, timeout=self._deadline.remaining, verify=trusted(), proxies={}
        )


def dial(host: str, port: int, policy: OutboundPolicy, deadline: Deadline) -> socket.socket:
    """A connection to one of the checked addresses of `host`, watched by `deadline`.

    Raises OutboundRefused, SourceFailed.
    """
    endpoints = resolve(host, port, policy=policy, within=deadline.remaining)
    reason = ""
    for left, endpoint in zip(range(len(endpoints), 0, -1), endpoints, strict=True):
        connection = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            connection.settimeout(deadline.remaining / left)
            connection.connect(endpoint.sockaddr)
            connection.settimeout(deadline.remaining)
            deadline.watch(connection)
        except OSError as error:
            connection.close()
            reason = os.strerror(error.errno) if error.errno else "timed out"
        else:
            return connection
    if deadline.passed:
        raise deadline.missed()
    raise SourceFailed(f"Could not connect to {host!r}, port {port}: {reason}.", host=host)


def trusted() -> str | bool:
    """The CA bundle that `requests` would take: the operator's, or the one that comes with it."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def pool_classes(
    dial: Callable[[str, int], socket.socket], plain: type[HTTPConnection], tls: type[HTTPSConnection]
) -> dict[str, type[HTTPConnectionPool]]:
    """Connection pools by scheme, of connections such as `plain` and `tls` whose sockets `dial` opens. TLS still
    checks the certificate against the host name, which is why the name is kept and only the socket is replaced."""

    class Connection(plain):  # type: ignore[misc, valid-type]
        def _new_conn(self) -> socket.socket:
            return dial(self._dns_host, self.port)

    class TlsConnection(tls):  # type: ignore[misc, valid-type]
        def _new_conn(self) -> socket.socket:
            return dial(self._dns_host, self.port)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    return {"http": Pool, "https": TlsPool}
