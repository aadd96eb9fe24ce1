"""The pages that are built from `ui/`: Swagger UI and Deployments, with all that they load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("web")
SWAGGER_UI = "swagger.html"
DEPLOYMENTS = "deployments.html"

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}

# Nothing from another host and nothing inline; images in style sheets are data. Airflow shows the pages in a frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


QUIET_CHALLENGE = "Bearer"
"""The WWW-Authenticate of a 401 that is for a page: for a Basic one the browser itself asks for a password."""


def asks_quietly(requested_with: str | None) -> bool:
    """Whether a request's `X-Requested-With` says, as pages do by an old custom, that a script made it."""
    return requested_with == "XMLHttpRequest"


@dataclass(frozen=True)
class WebFile:
    """A file as it is served."""

    content: bytes
    headers: Mapping[str, str]


def is_built() -> bool:
    """Whether the pages are there: a wheel has them, a checkout once `make` has built them."""
    return (FOLDER / DEPLOYMENTS).is_file()


def web_file(page: str, path: str) -> WebFile | None:
    """What is at `path` below the address of `page`, which is at "" itself; None where nothing is."""
    name = path or page
    file = FOLDER / name
    kind = _MEDIA_TYPES.get(file.suffix)
    # Only what is there: whatever a client writes is compared with names, never opened.
    if kind is None or name not in _names():
        return None
    # The names of assets change with what is in them.
    lasting = "public, max-age=31536000, immutable" if name.startswith("assets/") else "no-cache"
    headers = {
        "Content-Type": kind,
        "Cache-Control": lasting,
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }
    return WebFile(file.read_bytes(), headers)


def _names() -> set[str]:
    return {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
