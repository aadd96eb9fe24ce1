"""What a revision says of itself in its git commit: a line to read, and trailers for programs.

    deploy_dag: add team/sales.py

    Deployed from the release pipeline.

    Operation: deploy_dag
    DAG-Id: sales in team/sales.py
    Request-Key: 5f3c...

The trailers are the last paragraph, always there, so nothing that a message says is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

__all__ = ["OUTSIDE_OPERATION", "Note", "author_line", "author_name"]

OUTSIDE_OPERATION = "changed_outside"
"""The operation of revisions that record what other hands did to the folder."""

_NAMED_FILES = 3
_SUBJECT_CHARACTERS = 100
_BLANKS = re.compile(r"\s+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""What would end the message early for git, or play with the terminal of who reads it."""


@dataclass(frozen=True)
class Note:
    """Why a revision is there. `dags` has the path of each DAG's file, or None where it is not known."""

    operation: str
    message: str = ""
    dags: Mapping[str, str | None] = field(default_factory=dict)
    request_key: str | None = None

    def text(self, added: Collection[str], changed: Collection[str], deleted: Collection[str]) -> str:
        """The commit message; without a message, the subject names the files."""
        first, _, rest = _CONTROLS.sub(" ", self.message).strip().partition("\n")
        subject = f"{self.operation}: {first or _summary(added, changed, deleted)}"
        trailers = [f"Operation: {_one_line(self.operation)}"]
        for dag_id, path in self.dags.items():
            place = f" in {path}" if path else ""
            trailers.append(f"DAG-Id: {_one_line(dag_id)}{place}")
        if self.request_key is not None:
            trailers.append(f"Request-Key: {_one_line(self.request_key)}")
        paragraphs = [_one_line(subject), rest.strip(), "\n".join(trailers)]
        return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"

    @classmethod
    def parse(cls, text: str) -> Note:
        """The note that `text` was made of; a commit by another program is a note of an unknown operation."""
        body, _, last = text.rstrip("\n").rpartition("\n\n")
        trailers = [line.partition(": ")[::2] for line in last.split("\n")]
        operation = next((value for key, value in trailers if key == "Operation"), None)
        if operation is None:
            return cls("unknown", text.strip())
        subject, _, rest = body.partition("\n")
        message = subject.removeprefix(f"{operation}: ") + (f"\n{rest}" if rest else "")
        dags = [value.partition(" in ")[::2] for key, value in trailers if key == "DAG-Id"]
        return cls(
            operation,
            message,
            {dag_id: path or None for dag_id, path in dags},
            next((value for key, value in trailers if key == "Request-Key"), None),
        )


def author_line(name: str) -> bytes:
    """Git's form of an API user, who has no mail address that is known here."""
    plain = _one_line(re.sub(r"[<>\0]", "", name)) or "unknown"
    return f"{plain} <{plain.replace(' ', '.')}@airflow>".encode("utf-8", "replace")


def author_name(line: bytes) -> str:
    """The name in git's form of a person."""
    return line.decode("utf-8", "replace").partition(" <")[0]


def _summary(added: Collection[str], changed: Collection[str], deleted: Collection[str]) -> str:
    parts = []
    for verb, paths in (("add", added), ("change", changed), ("delete", deleted)):
        if paths:
            few = ", ".join(sorted(paths)) if len(paths) <= _NAMED_FILES else f"{len(paths)} files"
            parts.append(f"{verb} {few}")
    text = "; ".join(parts) or "no change"
    return text if len(text) <= _SUBJECT_CHARACTERS else f"{text[: _SUBJECT_CHARACTERS - 3]}..."


def _one_line(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()
