"""What the commands print: for people in colour where that is a terminal, for programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pydantic import BaseModel

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]

out = Console(soft_wrap=True)
errors = Console(stderr=True, soft_wrap=True)


def plain(answer: BaseModel) -> dict[str, Any]:
    """What the server sent, by the names of the spec."""
    return answer.model_dump(mode="json", by_alias=True, exclude_unset=True)


def print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=2))


def say(message: str) -> None:
    out.print(message, markup=False, highlight=False)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table

    made = Table(*titles, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        made.add_row(*(_text(cell) for cell in row))
    # A table that goes into a pipe is as wide as its longest line, so that nothing is cut.
    Console(width=None if out.is_terminal else 10_000).print(made)


def _text(cell: str) -> Any:
    from rich.text import Text

    return Text(cell)


def diff(text: str) -> None:
    """A unified diff, its lines coloured by what they say."""
    styles = {"+++": "bold", "---": "bold", "+": "green", "-": "red", "@": "cyan"}
    for line in text.splitlines():
        style = next((style for start, style in styles.items() if line.startswith(start)), None)
        out.print(line, style=style, markup=False, highlight=False)
