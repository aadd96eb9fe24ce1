"""What a process that waits for a DAG file is told, and how its answer is kept in bounds, on either host."""

from __future__ import annotations

import json
import os
import resource
import socket
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Order:
    """A DAG file, `root/path`, to be loaded within a limit of memory as though it lay in `live_root`."""

    root: str
    live_root: str
    bundle_name: str
    path: str
    memory_bytes: int

    def send(self, channel: socket.socket) -> None:
        """Tell a waiting process which file is its."""
        channel.sendall(json.dumps(asdict(self)).encode() + b"\n")

    @classmethod
    def receive(cls, channel: socket.socket) -> Order:
        """The other end of `send`. Raises EOFError where no order will come."""
        received = b""
        while not received.endswith(b"\n"):
            data = channel.recv(2**16)
            if not data:
                raise EOFError
            received += data
        return cls(**json.loads(received))


def end_copies(own_pid: int) -> None:
    """A file that forks comes back from its import in each copy, but only one of them was asked."""
    if os.getpid() != own_pid:
        os._exit(0)


def limit_answer(memory_bytes: int) -> None:
    """Keep what the file's process sends from taking more memory here than the file may take there."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
