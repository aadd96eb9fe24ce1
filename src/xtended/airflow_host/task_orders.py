"""What a task's process is told on its standard input and tells on a pipe, on either host.

The process ends with whoever started it: its standard input stays open as long as somebody waits for it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NoReturn

TRACEBACK_DEPTH = 50


@dataclass(frozen=True)
class TaskOrder:
    """Which task to run, or whose templates to render, in a run that there is."""

    what: Literal["test", "render"]
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    params: Mapping[str, Any] | None = None

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def carry_out(work: Callable[[TaskOrder], Mapping[str, Any]]) -> NoReturn:
    """Do what standard input says; the result goes to the pipe whose number is the first argument.

    A failure is a result too: `{"error": traceback}`.
    """
    order = TaskOrder(**json.loads(sys.stdin.buffer.readline()))
    told = int(sys.argv[1])
    os.set_inheritable(told, False)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    result: Mapping[str, Any]
    status = 1
    try:
        result = work(order)
        status = 0 if result.get("state", "success") == "success" else 1
    except BaseException as error:  # noqa: BLE001 - whatever DAG code raises is the answer
        traceback.print_exc()
        result = {"error": traceback.format_exc(limit=-TRACEBACK_DEPTH)}
        if isinstance(error, SystemExit) and isinstance(error.code, int):
            status = error.code
    sys.stdout.flush()
    sys.stderr.flush()
    with os.fdopen(told, "w") as pipe:
        json.dump(result, pipe, default=str)
    # Threads and exit handlers of DAG code are not waited for.
    os._exit(status)


def _end_with_starter() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.killpg(0, signal.SIGKILL)
