"""The one rule for every name that comes from a client: file names, folders, S3 keys, zip members."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from pathlib import PurePosixPath

from xtended.problems import BadName, UnsupportedType

__all__ = ["DAG_SUFFIXES", "MAX_PART_BYTES", "MAX_PATH_BYTES", "check_path", "join_folder"]

DAG_SUFFIXES = (".py", ".zip")
"""How the names of files end that Airflow looks for DAGs in."""

MAX_PART_BYTES = 255
"""What Linux file systems take for one part of a path (NAME_MAX)."""

MAX_PATH_BYTES = 1024
"""The length of the longest S3 key, and far below PATH_MAX (4096), which counts the DAG folder's path too."""

_CACHE_FOLDER = "__pycache__"
_DRIVE_LETTER = re.compile(r"^[A-Za-z]:")
_QUOTED_CHARACTERS = 120

# Control, format (bidirectional overrides, zero-width), surrogate, line and paragraph separators: what a
# person who reads a listing does not see, or sees as something else.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def check_path(name: str, *, suffixes: Collection[str] | None = None) -> str:
    """The relative POSIX path below the DAG folder that `name` stands for.

    The answer is NFC-normalised: macOS sends the decomposed form of the name that other systems send
    composed, and the two look the same but would be two files. Normalising twice changes nothing.

    `suffixes` are the endings that the last part may have, with their dot, in their exact case: Airflow
    looks for `.py` and does not see `.PY`.

    Raises BadName, or UnsupportedType where only the ending is wrong.
    """
    path = unicodedata.normalize("NFC", name)
    reason = _why_not(path)
    if reason is not None:
        raise BadName(f"{_quote(name)} is not allowed as a name: {reason}.")
    if suffixes is not None and PurePosixPath(path).suffix not in suffixes:
        raise UnsupportedType(
            f"{_quote(name)} is not of a supported file type: use {', '.join(sorted(suffixes))}."
        )
    return path


def join_folder(folder: str | None, name: str, *, suffixes: Collection[str] | None = None) -> str:
    """The path of `name` in `folder`, both from a client; no folder is the DAG folder itself.

    One trailing slash of `folder` is forgiven. Raises as `check_path` does.
    """
    path = check_path(name, suffixes=suffixes)
    if not folder:
        return path
    return check_path(f"{check_path(folder.removesuffix('/'))}/{path}", suffixes=suffixes)


def _why_not(path: str) -> str | None:
    if not path:
        return "it is empty"
    if any(unicodedata.category(character) in _UNSEEN for character in path):
        return "it holds a control or invisible character"
    if "\\" in path:
        return "it holds a backslash; use / between folders"
    if path.startswith("/"):
        return "it is absolute; give a path relative to the DAG folder"
    if _DRIVE_LETTER.match(path):
        return "it starts with a drive letter; give a path relative to the DAG folder"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"it is longer than {MAX_PATH_BYTES} bytes"
    for part in path.split("/"):
        reason = _why_not_part(part)
        if reason is not None:
            return reason
    return None


def _why_not_part(part: str) -> str | None:
    if not part:
        return "it has an empty part (a double or trailing slash)"
    if part in {".", ".."}:
        return f"{part!r} is not allowed in it"
    if part.startswith("."):
        return "hidden names (a leading dot) are not allowed"
    if part[-1] in " .":
        return "a part of it ends in a space or a dot"
    if part == _CACHE_FOLDER:
        return f"{_CACHE_FOLDER} belongs to Python"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"a part of it is longer than {MAX_PART_BYTES} bytes"
    return None


def _quote(name: str) -> str:
    # ascii() keeps what can't be seen, or can't be encoded, visible and harmless in a log and in JSON.
    shown = ascii(name[:_QUOTED_CHARACTERS])
    return shown if len(name) <= _QUOTED_CHARACTERS else f"{shown}..."
