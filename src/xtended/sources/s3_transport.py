"""boto3's transport with checked addresses, and one deadline for each request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session

from xtended.problems import Problem
from xtended.sources.addresses import OutboundPolicy
from xtended.sources.guarded import Deadline, dial, pool_classes, trusted

_SECONDS_BETWEEN = 0.25
"""How late a request may be cut."""


class Transport:
    """Sends a client's requests, as the handler of its `before-send` event. `timeout` is in seconds.

    Each thread has a session with one connection of its own, so that a deadline knows what to cut: in a pool
    that threads share, a connection that is used again can't be told from the others. One more thread looks at
    all deadlines: to start one for each request takes a fifth of the time of a sync of small files.
    """

    def __init__(self, policy: OutboundPolicy, timeout: float) -> None:
        self._policy = policy
        self._timeout = timeout
        self._here = threading.local()
        self._lanes: list[_Lane] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._watchman = threading.Thread(target=self._keep_watch, name="xtended-s3-deadlines", daemon=True)

    def send(self, request: Any, **_: Any) -> Any:
        """The answer of botocore's session; a Problem of ours is not taken for a fault of the network."""
        try:
            return self._lane().session.send(request)
        except HTTPClientError as error:
            cause = error.kwargs.get("error")
            if isinstance(cause, Problem):
                raise cause from None
            raise

    @contextmanager
    def limited(self) -> Iterator[Deadline]:
        """Whatever this thread sends and reads inside is cut when the time is up."""
        lane = self._lane()
        deadline = lane.deadline = Deadline(self._timeout)
        try:
            if lane.connection is not None:
                deadline.watch_copy(lane.connection)
            yield deadline
        finally:
            lane.deadline = None
            deadline.close()

    def _keep_watch(self) -> None:
        while not self._closed.wait(_SECONDS_BETWEEN):
            with self._lock:
                deadlines = [lane.deadline for lane in self._lanes]
            for deadline in deadlines:
                if deadline is not None and deadline.passed:
                    deadline.cut()

    def close(self) -> None:
        self._closed.set()
        if self._watchman.ident is not None:
            self._watchman.join()
        with self._lock:
            for lane in self._lanes:
                lane.close()
            self._lanes.clear()

    def _lane(self) -> _Lane:
        lane: _Lane | None = getattr(self._here, "lane", None)
        if lane is None:
            lane = self._here.lane = _Lane(self._policy, self._timeout)
            with self._lock:
                self._lanes.append(lane)
                if self._watchman.ident is None:
                    self._watchman.start()
        return lane


class _Lane:
    """One thread's session, the deadline of its request, and a second handle on its connection."""

    def __init__(self, policy: OutboundPolicy, timeout: float) -> None:
        self._policy = policy
        self.deadline: Deadline | None = None
        self.connection: socket.socket | None = None
        self.session = URLLib3Session(verify=trusted(), timeout=timeout, max_pool_connections=1)
        # The session's proxies are those it is given, none; a proxy would look names up past our check.
        self.session._manager.pool_classes_by_scheme = pool_classes(
            self._dial, AWSHTTPConnection, AWSHTTPSConnection
        )

    def _dial(self, host: str, port: int) -> socket.socket:
        assert self.deadline is not None  # noqa: S101 - requests are sent inside `limited` alone
        connection = dial(host, port, self._policy, self.deadline)
        if self.connection is not None:
            self.connection.close()
        self.connection = connection.dup()
        return connection

    def close(self) -> None:
        self.session.close()
        if self.connection is not None:
            self.connection.close()
