"""What a measurement is: samples with their percentiles, and rows of the table they end up in."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Samples:
    """Seconds."""

    values: tuple[float, ...]

    @property
    def p50(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.values, n=20, method="inclusive")[-1]

    def __str__(self) -> str:
        if len(self.values) == 1:
            return _seconds(self.p50)
        return f"{_seconds(self.p50)} (p95 {_seconds(self.p95)})"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"


@dataclass(frozen=True)
class Row:
    """One line of the table; `reached` is None where there is no target, `p50` is this extension's, in seconds."""

    what: str
    ours: str
    other: str
    ratio: str
    target: str
    reached: bool | None
    p50: float | None = None

    def cells(self) -> list[str]:
        word = {True: "yes", False: "**no**", None: "-"}[self.reached]
        return [self.what, self.ours, self.other, self.ratio, self.target, word]


HEAD = ["what", "this extension", "compared with", "ratio", "target", "reached"]


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that is readable in a terminal too."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]])
