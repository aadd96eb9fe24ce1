"""How a long request tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Watch = Callable[[str, int], None]
"""Is told of one of STAGES, and of how many files are through it. What it raises
before files are applied ends the request, and nothing is changed."""

STAGES = ("listed", "fetched", "parsed", "applied")
APPLIED = STAGES[-1]
_EVERY = 100


def unwatched(stage: str, count: int) -> None:
    """For requests that nobody watches."""


class Paced:
    """A watch that passes on one word for each hundred files, and the last one of each stage."""

    def __init__(self, tell: Watch) -> None:
        self._tell = tell
        self._stage = ""
        self._count = 0
        self._told = True

    def __call__(self, stage: str, count: int) -> None:
        if (stage, count) == (self._stage, self._count) or count == 0:
            return
        if stage != self._stage:
            self.flush()
        self._stage, self._count = stage, count
        self._told = count % _EVERY == 0
        if self._told:
            self._tell(stage, count)

    def flush(self) -> None:
        """Pass on what was held back."""
        if not self._told:
            self._told = True
            self._tell(self._stage, self._count)
