"""Long requests: answered at their end, line by line on their way, or at once while they go on."""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from xtended.api import Accepted, Call, Lines, failure
from xtended.problems import Problem
from xtended.progress import Paced

log = logging.getLogger(__name__)

Work = Callable[[Call], Mapping[str, Any]]
Line = Mapping[str, Any]


def answered(
    call: Call, operation: str, work: Work, *, background: bool
) -> Mapping[str, Any] | Lines | Accepted:
    """The result of `work`, in the way that the request asks for it."""
    if background:
        return _in_background(call, operation, work)
    if call.wants_lines:
        return Lines(_read(_line_by_line(call, operation, work)))
    return work(call)


def shown(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The OperationResult of the spec."""
    return {"status": "success", "message": f"{state['operation']}: {state['state']}", "operation": state}


def _in_background(call: Call, operation: str, work: Work) -> Accepted:
    operations = call.services.operations()
    operations.sweep()
    running = operations.begin(operation, call.user.name)
    tell = Paced(running.tell)

    def watch(stage: str, count: int) -> None:
        running.check(stage, count)
        tell(stage, count)

    def run() -> None:
        with running.ending():
            done, body = _outcome(dataclasses.replace(call, watch=watch), operation, work)
            tell.flush()
            (running.succeed if done else running.fail)(body)

    _start(call, run)
    return Accepted(shown(running.show()), f"/operations/{running.id}")


def _line_by_line(call: Call, operation: str, work: Work) -> queue.SimpleQueue[Line | None]:
    """Start the work; what it says comes through the queue, and None at its end."""
    lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
    tell = Paced(lambda stage, count: lines.put({"stage": stage, "files": count}))

    def run() -> None:
        try:
            _, body = _outcome(dataclasses.replace(call, watch=tell), operation, work)
            tell.flush()
            lines.put(body)
        finally:
            lines.put(None)

    _start(call, run)
    return lines


def _read(lines: queue.SimpleQueue[Line | None]) -> Iterator[Line]:
    # The work goes on where the client goes away, as that of a request without lines does.
    while (line := lines.get()) is not None:
        yield line


def _start(call: Call, run: Callable[[], None]) -> None:
    threading.Thread(target=call.services.host.carried(run), name="xtended-operation", daemon=True).start()


def _outcome(call: Call, operation: str, work: Work) -> tuple[bool, Mapping[str, Any]]:
    """Whether it worked, and its result or problem."""
    try:
        return True, work(call)
    except Problem as problem:
        return False, problem.body()
    except Exception as error:
        # The last line of defence: log it, and tell the client nothing.
        log.exception("Operation %s failed", operation)
        body, _, _ = failure(call.services, error, {})
        assert not isinstance(body, Lines)  # noqa: S101
        return False, body
