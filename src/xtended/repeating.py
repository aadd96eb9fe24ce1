"""Idempotency-Key: the same request twice is done once, and answered the same."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from xtended.api import Call, Upload
from xtended.outcomes import Outcome

Handler = Callable[..., Mapping[str, Any]]


def done_once(handler: Handler) -> Handler:
    """The handler of an operation that changes the DAG folder, heeding the request's Idempotency-Key.

    A request that fails changes nothing, so it may be sent again under its key. Raises BadRequest where the key was
    used for another request, FolderBusy where the first one is still under way.
    """

    @functools.wraps(handler)
    def run(call: Call, **arguments: Any) -> Mapping[str, Any]:
        if call.request_key is None:
            return handler(call, **arguments)
        request = _fingerprint(handler, arguments)
        with call.services.store().once(call.user.name, call.request_key, request) as once:
            if once.answer is None and once.revision is not None:
                once.answer = _answer_of(call, once.revision)
            elif once.answer is None:
                claimed = dataclasses.replace(call, request_key=once.key)
                once.answer = dict(handler(claimed, **arguments))
            return once.answer

    return run


def _fingerprint(handler: Handler, arguments: Mapping[str, Any]) -> str:
    """What tells one request from another, files by their content. It is kept, so nothing can be read out of it."""
    told = {
        name: [value.filename, value.digest()] if isinstance(value, Upload) else value
        for name, value in arguments.items()
    }
    text = f"{handler.__name__} {json.dumps(told, sort_keys=True)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _answer_of(call: Call, identity: str) -> dict[str, Any]:
    """What to say of a change that was made, and whose process ended before it could answer."""
    revision = call.services.store().revision(identity)
    known = call.services.host.catalogue.find(revision.dags)
    return Outcome.of_revision(revision, known).body("Done by an earlier request with this Idempotency-Key")
