"""What a change set would do to the folder, and whether the folder is still as it was when that was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from xtended.dagstore.changes import ChangeSet, Staged, folders_above
from xtended.dagstore.folder import Folder, Found
from xtended.dagstore.recording import leaf_of
from xtended.dagstore.revisions import FileRow
from xtended.problems import ChangedMeanwhile, ChangedOutside, Conflict, FileExists, NotFound

__all__ = ["Comparison", "check_ours", "check_still", "look"]

_NAMED_FILES = 5


@dataclass(frozen=True)
class Comparison:
    """The paths of a change set, sorted, by what it would do to them; `old_sha256` as in Staged."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    unchanged: tuple[str, ...]
    old_sha256: Mapping[str, str]

    @classmethod
    def of(cls, change_set: ChangeSet, found: Mapping[str, Found | None]) -> Comparison:
        """Raises NotFound where a path to delete is not there."""
        for path in sorted(change_set.deletes):
            if found[path] is None:
                raise NotFound(f"There is no file {path!r} in the DAG folder.")
        old = {path: None if file is None else file.content for path, file in found.items()}
        puts = sorted(change_set.puts.items())
        return cls(
            tuple(path for path, _ in puts if old[path] is None),
            tuple(path for path, content in puts if old[path] not in (None, content)),
            tuple(sorted(change_set.deletes)),
            tuple(path for path, content in puts if old[path] == content),
            {path: _sha256(file) for path, file in found.items() if file is not None},
        )

    def check_none_exist(self) -> None:
        """Raises FileExists where something would be replaced, be it by the same bytes."""
        existing = sorted([*self.changed, *self.unchanged])
        if existing:
            raise FileExists(
                f"{existing[0]!r} exists. Nothing was changed; use force to replace it.",
                existing_file=existing[0],
            )


def look(folder: Folder, puts: Collection[str], deletes: Collection[str]) -> dict[str, Found | None]:
    """What lies at the paths of a change set. Raises Conflict where that is a link or a folder.

    Not so where a file makes way for a folder of its name, or a folder that is emptied for a file.
    """
    emptied, changing = folders_above(deletes), {*puts, *deletes}
    found: dict[str, Found | None] = {}
    for path in [*puts, *deletes]:
        try:
            found[path] = folder.look(path)
        except Conflict:
            makes_way = path in emptied and path in puts and folder.is_folder(path)
            if not (makes_way or changing & folders_above([path])):
                raise
            found[path] = None
    return found


def check_ours(paths: Iterable[str], found: Mapping[str, Found | None], rows: Mapping[str, FileRow]) -> None:
    """Raises ChangedOutside where other hands were the last to change one of these paths."""
    theirs = []
    for path in paths:
        file, row = found[path], rows.get(path)
        as_recorded = (None if file is None else leaf_of(file)) == (None if row is None else row.leaf)
        if not as_recorded or (row is not None and row.outside):
            theirs.append(path)
    if theirs:
        raise ChangedOutside(
            f"Changed by other hands than this API's: {_few(theirs)}. Nothing was changed; use force to "
            "overwrite what they did. It stays in the history.",
            changed_files=theirs,
        )


def check_still(staged: Staged, found: Mapping[str, Found | None]) -> None:
    """Raises FileExists or ChangedMeanwhile where a path is not what it was when it was staged."""
    moved = []
    for path, file in found.items():
        if (None if file is None else _sha256(file)) == staged.old_sha256.get(path):
            continue
        if path in staged.added:
            raise FileExists(
                f"{path!r} was put there by another request meanwhile. Nothing was changed.",
                existing_file=path,
            )
        moved.append(path)
    if moved:
        raise ChangedMeanwhile(
            f"Changed by another request, or by hand, while this one was being checked: {_few(moved)}. "
            "Nothing was changed; try again.",
            changed_files=moved,
        )


def _few(paths: Collection[str]) -> str:
    named = ", ".join(repr(path) for path in sorted(paths)[:_NAMED_FILES])
    more = len(paths) - _NAMED_FILES
    return f"{named} and {more} more" if more > 0 else named


def _sha256(file: Found) -> str:
    return hashlib.sha256(file.content).hexdigest()
