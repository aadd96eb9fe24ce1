"""Writes down what each test was answered, so that the hosts' answers can be held side by side.

`tests/side_by_side` compares what two hosts wrote. A line is JSON: the test, then method, path, status, media type,
problem type and the names of the body's fields. Values are the tests' own business.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from contract.server import CHECKOUT, PREFIX

VARIABLE = "XTENDED_ANSWERS"
"""Environment variable: the file to write to. Without it nothing is written."""
A_MATTER_OF_TIME = "xtended.a_matter_of_time"
"""Extension of an HTTPX request: set where it depends on what Airflow has done by then how it is answered."""
_PATHS = sorted(
    yaml.safe_load((CHECKOUT / "openapi" / "xtended.yaml").read_text())["paths"], key=len, reverse=True
)
# Swagger UI and the document that it shows are each host's own, and have tests of their own.
_DOCUMENTS = ("/ui", "/openapi.json")


@contextmanager
def recording() -> Iterator[None]:
    """Write down every answer of the extension that any HTTP client of this process gets meanwhile."""
    place = os.environ.get(VARIABLE)
    if place is None:
        yield
        return
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    plain = httpx.Client.send
    with Path(place).open("w", buffering=1) as file, pytest.MonkeyPatch.context() as patch:

        def send(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
            answer = plain(client, request, **options)
            path = request.url.path.removeprefix(PREFIX)
            ours = path != request.url.path and not (answer.is_success and path.startswith(_DOCUMENTS))
            # A streamed answer is the test's to read; those of `stream` are lines, and each has tests of its own.
            if ours and answer.is_stream_consumed and not request.extensions.get(A_MATTER_OF_TIME):
                file.write(json.dumps(_line(request.method, path, answer)) + "\n")
            return answer

        patch.setattr(httpx.Client, "send", send)
        yield


def _line(method: str, path: str, answer: httpx.Response) -> dict[str, Any]:
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    body = answer.json() if media_type.endswith(("/json", "+json")) and answer.content else None
    return {
        # Without the phase: what a fixture asks belongs to the test.
        "test": re.sub(r" \(\w+\)$", "", os.environ["PYTEST_CURRENT_TEST"]),
        "request": f"{method} {_template(path)}",
        "status": answer.status_code,
        "media_type": media_type,
        "problem": body.get("type") if body and media_type.endswith("problem+json") else None,
        "fields": sorted(_fields(body)),
    }


def _template(path: str) -> str:
    """The path as the contract has it, so that an id in it counts as any other; as it is where none fits."""
    fitting = (
        known for known in _PATHS if re.fullmatch(re.sub(r"\\\{.*?\\\}", ".+", re.escape(known)), path)
    )
    return next(fitting, path)


def _fields(body: Any, place: str = "") -> set[str]:
    """Names of all fields, each with its place in the body; the items of a list count as one."""
    if isinstance(body, dict):
        return {
            name
            for key, value in body.items()
            for name in {f"{place}{key}"} | _fields(value, f"{place}{key}.")
        }
    if isinstance(body, list):
        return {name for item in body for name in _fields(item, f"{place}[].")}
    return set()
