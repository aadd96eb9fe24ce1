"""What web workers and the parser say to each other: length-prefixed JSON over a Unix socket.

A connection carries one request, the client's first frame; its `kind` is one of

    lease   hold this connection open: the parser stays for as long as somebody holds one
    ping    answered with `pong` once Airflow is loaded
    parse   a ParseRequest; answered with `started`, then one frame per path, in their order

A path's frame is `file` (a ParsedFile), `timeout` (with `seconds`), or `failed` where the fault is not the
file's. Closing the connection aborts the request.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

from xtended.airflow_host.base import ImportProblem, ParsedDag, ParsedFile

_PREFIX = struct.Struct("!I")

MAX_FRAME = 64 * 2**20
"""Bytes: far above any sane DAG file's serialised form, below what would hurt the web process."""

Frame = dict[str, Any]


class ProtocolError(Exception):
    """The peer sent something that is not a frame."""


class FrameTooLong(ProtocolError):
    """A frame is over MAX_FRAME."""

    def __init__(self, length: int) -> None:
        super().__init__(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")


@dataclass(frozen=True)
class ParseRequest:
    """Files to parse, one after the other; paths are relative to `root`.

    `timeout` is in seconds, for each file; `memory_bytes` is on top of what Airflow itself takes.
    """

    root: str
    live_root: str
    bundle_name: str
    paths: tuple[str, ...]
    timeout: float
    memory_bytes: int

    def frame(self) -> Frame:
        return {"kind": "parse", **dataclasses.asdict(self)}

    @classmethod
    def read(cls, frame: Frame) -> ParseRequest:
        """Raises ProtocolError."""
        values = {name: value for name, value in frame.items() if name != "kind"}
        try:
            return cls(**{**values, "paths": tuple(values["paths"])})
        except (KeyError, TypeError) as error:
            raise ProtocolError(f"not a parse request: {error}") from error


def encode(frame: Frame) -> bytes:
    """The frame with its length. Raises FrameTooLong."""
    body = json.dumps(frame, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME:
        raise FrameTooLong(len(body))
    return _PREFIX.pack(len(body)) + body


class FrameReader:
    """Turns the bytes of one connection into frames, however they were cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises ProtocolError."""
        self._buffer += data
        frames: list[Frame] = []
        while len(self._buffer) >= _PREFIX.size:
            (length,) = _PREFIX.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise FrameTooLong(length)
            end = _PREFIX.size + length
            if len(self._buffer) < end:
                break
            frames.append(_decode(bytes(self._buffer[_PREFIX.size : end])))
            del self._buffer[:end]
        return frames


def _decode(body: bytes) -> Frame:
    try:
        frame = json.loads(body)
    except ValueError as error:
        raise ProtocolError("a frame is not JSON") from error
    if not isinstance(frame, dict) or not isinstance(frame.get("kind"), str):
        raise ProtocolError("a frame has no kind")
    return frame


def receive(connection: socket.socket) -> Frame | None:
    """The next frame of a connection that has one at a time; None where the peer hung up."""
    reader = FrameReader()
    while data := connection.recv(2**16):
        if frames := reader.feed(data):
            return frames[0]
    return None


def send_request(orders: socket.socket, request: ParseRequest, connection: socket.socket) -> None:
    """Hand a request to a supervisor, with the connection to answer it on."""
    data = encode(request.frame())
    sent = socket.send_fds(orders, [data], [connection.fileno()])
    if sent < len(data):
        orders.sendall(data[sent:])


def receive_request(orders: socket.socket) -> tuple[ParseRequest, socket.socket] | None:
    """The other end of `send_request`; None where the parser has ended."""
    data, descriptors, _, _ = socket.recv_fds(orders, 2**16, 1)
    if not data:
        return None
    connection = socket.socket(fileno=descriptors[0])
    reader = FrameReader()
    while not (frames := reader.feed(data)):
        if not (data := orders.recv(2**16)):
            return None
    return ParseRequest.read(frames[0]), connection


def file_frame(parsed: ParsedFile) -> Frame:
    return {
        "kind": "file",
        "path": parsed.path,
        "dags": [[dag.dag_id, dag.form] for dag in parsed.dags],
        "import_problems": [dataclasses.asdict(problem) for problem in parsed.import_problems],
        "warnings": parsed.warnings,
        "seconds": parsed.seconds,
    }


def read_file(frame: Frame) -> ParsedFile:
    """The ParsedFile of a `file` frame. Raises ProtocolError."""
    try:
        return ParsedFile(
            path=frame["path"],
            dags=tuple(ParsedDag(dag_id, form) for dag_id, form in frame["dags"]),
            import_problems=tuple(ImportProblem(**problem) for problem in frame["import_problems"]),
            warnings=tuple(frame["warnings"]),
            seconds=frame["seconds"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"not a parsed file: {error}") from error
