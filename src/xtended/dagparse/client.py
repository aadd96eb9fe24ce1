"""The parser as the web process sees it: files in, what they define out; no DAG code runs here."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xtended.airflow_host.base import ParsedFile
from xtended.dagparse.launch import Launcher
from xtended.dagparse.protocol import (
    Frame,
    FrameReader,
    ParseRequest,
    ProtocolError,
    encode,
    read_file,
    receive,
)
from xtended.problems import ParserUnavailable, ParseTimeout

log = logging.getLogger(__name__)

LOAD_PATIENCE = 90.0
"""Seconds that Airflow may take to load in the parser, or that a request may wait for its turn there."""

ANSWER_PATIENCE = 15.0
"""Seconds past a file's time limit after which a parser that says nothing counts as dead."""

FILES_PER_REQUEST = 16
"""Few enough that requests end at about the same time, many enough that their own cost does not count."""


@dataclass(frozen=True)
class ParseTree:
    """The DAG folder to parse in.

    `root` looks as the DAG folder will look after a change (changed files real, all else symbolic links);
    results read as though parsed at `live_root`, the true one. The two may be the same.
    """

    root: Path
    live_root: Path
    bundle_name: str


class Parser:
    """A handle on the warm parser, which is started when needed and shared by all web workers. Thread-safe.

    `backend` is `module:attribute` of a `supervisor.Backend`; the socket and the parser's log are kept in
    `runtime_dir`. `timeout` is in seconds and `memory_mb` in megabytes, both for one file.
    """

    def __init__(
        self,
        backend: str,
        runtime_dir: Path,
        *,
        timeout: float,
        memory_mb: int,
        concurrency: int,
        idle_seconds: float,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.timeout = timeout
        self._memory_bytes = memory_mb * 2**20
        self.concurrency = concurrency
        self._launcher = Launcher(backend, runtime_dir, idle_seconds, {**os.environ, **(environ or {})})
        self._lease: socket.socket | None = None
        self._lease_owner = 0
        self._lock = threading.Lock()

    def parse(self, tree: ParseTree, paths: Sequence[str]) -> list[ParsedFile]:
        """What each file of `tree` defines, in the order of `paths`.

        Raises ParseTimeout (with `file`) for the first that takes too long, and ParserUnavailable.
        """
        parsed: dict[str, ParsedFile] = {}
        with contextlib.closing(self.outcomes(tree, paths)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, ParseTimeout):
                    raise outcome
                parsed[outcome.path] = outcome
        return [parsed[path] for path in paths]

    def outcomes(self, tree: ParseTree, paths: Sequence[str]) -> Generator[ParsedFile | ParseTimeout]:
        """What each file defines, as it becomes known, or that it took too long. Raises ParserUnavailable.

        Closing the iterator ends what is still being parsed.
        """
        run = _Run(self, tree, list(dict.fromkeys(paths)))
        try:
            yield from run
        finally:
            run.close()

    def alive(self) -> bool:
        """Whether the parser answers; it is started when needed, which takes as long as Airflow's import."""
        return self._answers() or self._answers()

    def _answers(self) -> bool:
        try:
            with self.connection() as connection:
                connection.settimeout(LOAD_PATIENCE)
                connection.sendall(encode({"kind": "ping"}))
                answer = receive(connection)
        except (OSError, ProtocolError, ParserUnavailable):
            return False
        return answer is not None and answer["kind"] == "pong"

    def warm(self) -> None:
        """Have the parser started, in the background."""
        threading.Thread(target=self._warm, name="xtended-parser-start", daemon=True).start()

    def _warm(self) -> None:
        with contextlib.suppress(ParserUnavailable, OSError):
            self.connection().close()

    def close(self) -> None:
        """Let go of the parser: it ends when no other worker holds on to it."""
        with self._lock:
            if self._lease is not None:
                self._lease.close()
                self._lease = None

    def connection(self) -> socket.socket:
        """A new connection to the parser, started when needed; holds a lease from then on."""
        connection = self._launcher.connect()
        if connection is None:
            self._launcher.start()
            connection = self._launcher.connect()
            if connection is None:
                log.error("The DAG parser ended as soon as it was started: %s", self.last_words())
                raise ParserUnavailable("The DAG parser ended as soon as it was started.")
        self._hold_lease()
        return connection

    def _hold_lease(self) -> None:
        with self._lock:
            if self._lease is not None and self._lease_owner == os.getpid() and _is_open(self._lease):
                return
            if self._lease is not None:
                self._lease.close()
            self._lease = self._launcher.connect()
            self._lease_owner = os.getpid()
            if self._lease is not None:
                self._lease.sendall(encode({"kind": "lease"}))

    def request(self, tree: ParseTree, paths: Sequence[str]) -> ParseRequest:
        return ParseRequest(
            root=os.fspath(tree.root),
            live_root=os.fspath(tree.live_root),
            bundle_name=tree.bundle_name,
            paths=tuple(paths),
            timeout=self.timeout,
            memory_bytes=self._memory_bytes,
        )

    def last_words(self) -> str:
        return self._launcher.last_words()


@dataclass(eq=False)
class _Request:
    """One connection with its share of the files; `unanswered` starts with the file that is being parsed."""

    unanswered: deque[str]
    connection: socket.socket
    deadline: float
    retried: bool
    progressed: bool = False
    reader: FrameReader = field(default_factory=FrameReader)


class _Run:
    """The requests of one `Parser.outcomes` call, driven in the caller's thread."""

    def __init__(self, parser: Parser, tree: ParseTree, paths: list[str]) -> None:
        self._parser = parser
        self._tree = tree
        size = max(1, min(FILES_PER_REQUEST, math.ceil(len(paths) / parser.concurrency)))
        self._shares = deque(paths[start : start + size] for start in range(0, len(paths), size))
        self._selector = selectors.DefaultSelector()
        self._open: set[_Request] = set()

    def __iter__(self) -> Iterator[ParsedFile | ParseTimeout]:
        while self._shares or self._open:
            while self._shares and len(self._open) < self._parser.concurrency:
                self._send(self._shares.popleft(), retried=False)
            for key, _ in self._selector.select(timeout=self._patience()):
                yield from self._read(key.data)
            for request in [each for each in self._open if each.deadline < time.monotonic()]:
                self._end(request)
                raise ParserUnavailable("The DAG parser does not answer.")

    def close(self) -> None:
        for request in list(self._open):
            self._end(request)
        self._selector.close()

    def _patience(self) -> float:
        return max(0.0, min(request.deadline for request in self._open) - time.monotonic())

    def _send(self, paths: Sequence[str], *, retried: bool) -> None:
        try:
            connection = self._parser.connection()
            connection.settimeout(ANSWER_PATIENCE)
            connection.sendall(encode(self._parser.request(self._tree, paths).frame()))
        except OSError as error:
            # The parser went away between two calls; once is chance.
            if retried:
                log.error("The DAG parser ends when it is asked to parse: %s", self._parser.last_words())
                raise ParserUnavailable("The DAG parser ends when it is asked to parse.") from error
            self._send(paths, retried=True)
            return
        request = _Request(deque(paths), connection, time.monotonic() + LOAD_PATIENCE, retried)
        self._open.add(request)
        self._selector.register(connection, selectors.EVENT_READ, request)

    def _end(self, request: _Request) -> None:
        self._open.discard(request)
        self._selector.unregister(request.connection)
        request.connection.close()

    def _read(self, request: _Request) -> Iterator[ParsedFile | ParseTimeout]:
        try:
            data = request.connection.recv(2**18)
            frames = request.reader.feed(data)
            if not data:
                self._lost(request)
                return
            for frame in frames:
                yield from self._take(request, frame)
            if not request.unanswered and request in self._open:
                self._end(request)
        except (OSError, ProtocolError) as error:
            log.warning("The connection to the DAG parser broke: %s", error)
            self._lost(request)

    def _take(self, request: _Request, frame: Frame) -> Iterator[ParsedFile | ParseTimeout]:
        request.deadline = time.monotonic() + self._parser.timeout + ANSWER_PATIENCE
        request.progressed = frame["kind"] != "started"
        if frame["kind"] == "file":
            parsed = read_file(frame)
            if parsed.path != request.unanswered[0]:
                raise ProtocolError(f"an answer for {parsed.path!r} out of turn")
            request.unanswered.popleft()
            yield parsed
        elif frame["kind"] == "timeout":
            path = request.unanswered.popleft()
            yield ParseTimeout(
                f"{path!r} was still being loaded after {frame['seconds']:g} seconds. "
                "Move slow work from the top level of the file into its tasks.",
                file=path,
                seconds=frame["seconds"],
            )
        elif frame["kind"] == "failed":
            raise self._failed(request, "failed")

    def _lost(self, request: _Request) -> None:
        """The connection broke with files unanswered: the parser died, and gets one more chance."""
        self._end(request)
        if request.retried and not request.progressed:
            raise self._failed(request, "ended twice")
        self._send(tuple(request.unanswered), retried=True)

    def _failed(self, request: _Request, how: str) -> ParserUnavailable:
        path = request.unanswered[0]
        log.error("The DAG parser %s while it parsed %r: %s", how, path, self._parser.last_words())
        return ParserUnavailable(
            f"The DAG parser failed while it parsed {path!r}; the web server's log says why."
        )


def _is_open(connection: socket.socket) -> bool:
    """Whether the peer of a connection that it never writes to still holds its end."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
