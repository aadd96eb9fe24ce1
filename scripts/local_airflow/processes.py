"""The processes a local Airflow is made of: started together, watched, and stopped without a trace."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_TAIL_LINES = 25
# Killing a parent makes orphans of its children, which the next round finds.
_KILL_ROUNDS = 5


@dataclass(frozen=True)
class Component:
    """One process of Airflow and the file that its output goes to."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]


def tail(log: Path) -> str:
    """The last lines of a log, indented."""
    lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    return "\n".join(f"  {line}" for line in lines)


class ProcessGroup:
    """Children of this process, and everything that they start in their turn.

    Airflow's tasks run in process groups of their own and outlive a scheduler that is killed. On Linux this
    process adopts such orphans, so that `stop` sees them.
    """

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self._environment = dict(environment)
        self._logs = logs
        self.components: list[Component] = []
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self, name: str, command: Sequence[str], stdin: bytes = b"") -> Component:
        """Start one component and give it `stdin`; its output replaces what its log held."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            # A session of its own: Ctrl-C in the terminal reaches this process alone, which then stops all.
            process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as pipe:
            pipe.write(stdin)
        component = Component(name, log, process)
        self.components.append(component)
        return component

    def ended(self) -> Component | None:
        """A component that has ended, if any has."""
        return next((c for c in self.components if c.process.poll() is not None), None)

    def bury(self) -> None:
        """Take the exit status of adopted orphans: nobody else will, and they would be listed for ever."""
        own = {component.process.pid for component in self.components}
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if child.pid not in own and child.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(child.pid, os.WNOHANG)

    def finish(self, component: Component) -> int:
        """Forget a component that has ended or is about to. Returns its exit status."""
        self.components.remove(component)
        return component.process.wait()

    def stop(self, grace: float) -> None:
        """Ask every component to end, and after `grace` seconds kill what is left, orphans included."""
        for component in self.components:
            if component.process.poll() is None:
                component.process.terminate()
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and any(c.process.poll() is None for c in self.components):
            time.sleep(0.05)
        for _ in range(_KILL_ROUNDS):
            left = psutil.Process().children(recursive=True)
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=1)
        self.components.clear()
