"""An HTTP server on loopback that answers what a test wants, for the operations that fetch."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Page:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FileServer:
    """`asked` are the paths that were asked for, in order."""

    url: str
    pages: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def serve(self, body: bytes, status: int = 200, **headers: str) -> str:
        """The URL at which `body` can be had from now on; `_` in a header's name stands for `-`."""
        path = f"/{next(self._numbers)}"
        self.pages[path] = Page(
            body, status, {key.replace("_", "-"): value for key, value in headers.items()}
        )
        return self.url + path


@contextmanager
def running() -> Iterator[FileServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            page = served.pages.get(self.path.partition("?")[0], Page(b"no such page", 404))
            body = page.body
            self.send_response(page.status)
            for key, value in page.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet: the test says what it saw."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        served = FileServer(f"http://127.0.0.1:{listening.server_port}")
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield served
        listening.shutdown()
        thread.join()
