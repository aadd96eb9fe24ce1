"""What the table of the older plugins' functions is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from xtended.legacy import printed
from xtended.problems import BadRequest

Family = Literal["command line", "managed"]
"""Which of the older plugins a function is of, and so what its answers look like."""


@dataclass(frozen=True)
class Argument:
    """What becomes of one argument of an older function.

    A `flag` is a boolean that means yes where it is given without a value. A `secret` is never sent back. One
    that is `ignored` has no meaning here, for the reason that it gives.
    """

    to: str = ""
    flag: bool = False
    secret: bool = False
    ignored: str = ""
    read: Callable[[str], Mapping[str, str]] | None = None
    """Where one argument is several of the operation's. Raises BadRequest."""
    file: str = ""
    """The operation's name for it where it is sent as a file."""


@dataclass(frozen=True)
class Route:
    """The operation that a function is, where all of `when` are among its arguments."""

    operation: str
    arguments: Mapping[str, Argument]
    when: tuple[str, ...] = ()
    always: Mapping[str, str] = field(default_factory=dict)
    """Arguments of the operation that are the same for each call."""
    output: Callable[[Mapping[str, Any]], str] = printed.message
    """What the older command printed, from the operation's answer."""
    fields: tuple[str, ...] = ()
    """What the managed family answers beside its status, by the operation's own names."""
    text: str = ""
    """The managed family's message, where the operation words it differently."""


@dataclass(frozen=True)
class Function:
    """One older function. Its first route whose `when` is given is taken."""

    name: str
    family: Family
    routes: tuple[Route, ...]
    positional: tuple[str, ...] = ()
    """Arguments that the older command line took without naming them."""
    custom: bool = False
    """Whether the older plugin did it itself, rather than by a command."""

    def arguments(self) -> dict[str, Argument]:
        """Every argument that some route takes."""
        return {name: each for route in self.routes for name, each in route.arguments.items()}


def words(*names: str) -> Callable[[str], Mapping[str, str]]:
    """How to read one text that is several arguments, the last of which may have spaces."""

    def read(text: str) -> Mapping[str, str]:
        parts = text.split(maxsplit=len(names) - 1)
        if len(parts) < len(names):
            raise BadRequest(f"Give {' '.join(name.upper() for name in names)}, separated by spaces.")
        return dict(zip(names, parts, strict=True))

    return read
