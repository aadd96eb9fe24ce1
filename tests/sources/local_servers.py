"""What a local server of these tests is, and the answers it can give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """A running server; `seen` is what it was asked: (path, headers)."""

    address: str
    port: int
    scheme: str
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str = "/dag.py", host: str | None = None, userinfo: str = "") -> str:
        return f"{self.scheme}://{userinfo}{host or self.address}:{self.port}{path}"


Serve = Callable[..., Server]


def reply(status: int = 200, body: bytes = b"x = 1\n", **headers: str) -> Answer:
    """An answer with these headers (`_` for `-`), Content-Length included unless given."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {
            "content_type": "text/x-python",
            "content_length": str(len(body)),
            **headers,
        }.items():
            if value:
                request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def redirect(location: str, status: int = 302) -> Answer:
    return reply(status, b"", location=location)
