"""What can go wrong, as exit codes that CI can rely on and as words for people."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import typer

from xtended_cli.output import errors

P = ParamSpec("P")
R = TypeVar("R")

REFUSED = 1
USAGE = 2
INVALID = 3
NOT_ALLOWED = 4
UNREACHABLE = 5

_LINES_AROUND = 2


@dataclass(frozen=True)
class Source:
    """A local file, as it was sent: what people call it, and its text."""

    name: str
    text: str


class Failure(Exception):
    """A problem that the server answered with, or that none was reached; `problem` is problem+json."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(problem.get("detail", ""))
        self.problem = problem
        self.sources: Mapping[str, Source] = {}

    @property
    def exit_code(self) -> int:
        status = self.problem.get("status")
        if not isinstance(status, int) or status >= 500:
            return UNREACHABLE
        if self.problem.get("import_errors"):
            return INVALID
        return NOT_ALLOWED if status in (401, 403) else REFUSED


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose failures are told, as JSON where the command was asked for it, and end the program."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except Failure as failure:
            if kwargs.get("as_json"):
                typer.echo(json.dumps(dict(failure.problem), indent=2))
            else:
                _tell(failure)
            raise typer.Exit(failure.exit_code) from None

    return run


def _tell(failure: Failure) -> None:
    problem = failure.problem
    found = problem.get("import_errors") or []
    if found:
        show_import_errors(found, failure.sources)
        # The detail says the first of them once more.
        return
    errors.print(f"[bold red]error:[/] {_escaped(problem.get('detail') or problem.get('title') or 'failed')}")
    errors.print(f"[dim]{_escaped(problem.get('type', ''))}[/]", highlight=False)
    if problem.get("status") == 401:
        errors.print("Log in with `xtended login URL`, or set XTENDED_TOKEN.", highlight=False)


def show_import_errors(found: Sequence[Mapping[str, Any]], sources: Mapping[str, Source]) -> None:
    """Each as a compiler would: file, line, message, and the lines around it where they are at hand."""
    for error in found:
        source, line = sources.get(error["file"]), error.get("line")
        place = source.name if source else error["file"]
        where = f"{place}:{line}" if line else place
        errors.print(
            f"[bold]{_escaped(where)}:[/] [bold red]error:[/] {_escaped(error['message'])}", highlight=False
        )
        if source and line:
            _quote(source.text.splitlines(), line)


def _quote(lines: list[str], line: int) -> None:
    first, last = max(1, line - _LINES_AROUND), min(len(lines), line + _LINES_AROUND)
    width = len(str(last))
    for number in range(first, last + 1):
        here = number == line
        text = f"{'>' if here else ' '} {number:>{width}} | {lines[number - 1]}"
        errors.print(_escaped(text), style="bold" if here else "dim", highlight=False)
    errors.print()


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def usage(message: str) -> typer.BadParameter:
    """What the command line lacks or has too much of."""
    return typer.BadParameter(message)


def damaged(message: str) -> Failure:
    """Something on this machine that the command can't go on with."""
    return Failure({"type": "about:blank", "title": "Damaged", "status": 400, "detail": message})


def absent(message: str) -> Failure:
    """Something that the command needs and that the server does not have."""
    return Failure({"type": "about:blank", "title": "Not found", "status": 404, "detail": message})
