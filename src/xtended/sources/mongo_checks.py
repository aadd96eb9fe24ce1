"""What a client may say to pymongo: connection strings, filters and field names, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import Code, json_util
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from xtended.problems import BadRequest, SourceFailed

_SCHEMES = ("mongodb://", "mongodb+srv://")
# These open files of this machine, or let the web server's own identity log in.
_FILES = frozenset({"tlscafile", "tlscertificatekeyfile", "tlscrlfile"})
_MECHANISMS = frozenset({"DEFAULT", "SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"})
_SERVER_CODE = frozenset({"$where", "$function", "$accumulator"})


def read_connection_string(text: str, timeout: float) -> list[tuple[str, int]]:
    """The hosts that a connection string names; those of `mongodb+srv` are looked up, within `timeout` seconds.

    Raises BadRequest, and SourceFailed where the look-up fails. No part of the string is in a message.
    """
    text = text.strip()
    if not text.startswith(_SCHEMES):
        raise BadRequest("connection_string must start with mongodb:// or mongodb+srv://.")
    named = text.partition("?")[2].lower()
    if any(f"{option}=" in named for option in _FILES):
        raise BadRequest("connection_string names a file of the web server, which is not allowed.")
    try:
        parsed = parse_uri(text, validate=True, warn=False, connect_timeout=timeout * 1000)
    except (PyMongoError, ValueError, TypeError) as error:
        if text.startswith(_SCHEMES[1]) and isinstance(error, PyMongoError) and error.__cause__ is not None:
            raise SourceFailed(
                "The SRV record of the host in connection_string can't be looked up."
            ) from None
        raise BadRequest(
            "connection_string can't be read: percent-encode the user name, the password and the options in it."
        ) from None
    mechanism = next(
        (value for name, value in parsed["options"].items() if name.lower() == "authmechanism"), None
    )
    if mechanism is not None and mechanism not in _MECHANISMS:
        raise BadRequest(f"connection_string: authMechanism must be one of {', '.join(sorted(_MECHANISMS))}.")
    hosts = [(host, port) for host, port in parsed["nodelist"] if port is not None]
    if len(hosts) != len(parsed["nodelist"]) or not hosts:
        raise BadRequest("connection_string must name hosts; a socket of the web server is not allowed.")
    return hosts


def read_filter(text: str | None) -> Mapping[str, Any]:
    """A `query_filter`, in Extended JSON. Raises BadRequest; so for code that the server would run."""
    if text is None or not text.strip():
        return {}
    try:
        found = json_util.loads(text)
    except (ValueError, TypeError, RecursionError, PyMongoError, OverflowError):
        raise BadRequest('query_filter is not (Extended) JSON; {"team": "a"} is an example.') from None
    if not isinstance(found, Mapping):
        raise BadRequest('query_filter must be a JSON object, {"team": "a"} say.')
    _refuse_code(found)
    return found


def check_field(name: str, argument: str) -> None:
    """Raises BadRequest unless `name` can be a field, dotted or not."""
    if not name or "\0" in name or any(not part or part.startswith("$") for part in name.split(".")):
        raise BadRequest(f"{argument} is not the name of a field.")


def _refuse_code(value: Any) -> None:
    if isinstance(value, Code):
        raise BadRequest("query_filter holds code for the server to run, which is not allowed.")
    if isinstance(value, Mapping):
        for key, below in value.items():
            if key in _SERVER_CODE:
                raise BadRequest(
                    f"query_filter uses {key}, which runs code in the server and is not allowed."
                )
            _refuse_code(below)
    elif isinstance(value, list):
        for below in value:
            _refuse_code(below)
