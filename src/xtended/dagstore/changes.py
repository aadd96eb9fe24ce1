"""What a change set is, and what it would do to the folder once it is staged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xtended.dagstore.names import check_path
from xtended.problems import BadName

__all__ = ["ChangeSet", "Staged", "folders_above"]


@dataclass(frozen=True)
class ChangeSet:
    """Files to put (path -> content) and paths to delete, as one whole.

    Those of `executable` get their x bits where they are new; a file that exists keeps its mode.

    Every path goes through `check_path`. Raises BadName, also where one name is put both as a file and as a
    folder, or ValueError where a path is both put and deleted.
    """

    puts: Mapping[str, bytes] = field(default_factory=dict)
    deletes: frozenset[str] = frozenset()
    executable: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        puts = {check_path(path): content for path, content in self.puts.items()}
        deletes = frozenset(check_path(path) for path in self.deletes)
        both = deletes & puts.keys()
        if both:
            raise ValueError(f"{min(both)!r} is both put and deleted")
        twice = folders_above(puts) & puts.keys()
        if twice:
            raise BadName(f"{min(twice)!r} can't be both a file and a folder.")
        object.__setattr__(self, "puts", puts)
        object.__setattr__(self, "deletes", deletes)


def folders_above(paths: Iterable[str]) -> set[str]:
    """Every folder that one of `paths` lies in, the DAG folder itself left out."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


@dataclass(frozen=True)
class Staged:
    """A change set compared with the folder, and a tree on disk that looks as the folder will.

    All paths are sorted, relative to the DAG folder. `tree_root` is gone once the staging context ends.
    """

    change_set: ChangeSet
    tree_root: Path
    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    unchanged: tuple[str, ...]
    old_sha256: Mapping[str, str]
    """Hex digest of what the folder holds now, for each path in `changed`, `deleted` and `unchanged`."""
    if_match: str | None = None
    """The revision that must still be the newest when the change set is applied."""

    @property
    def empty(self) -> bool:
        """Whether applying it would change nothing."""
        return not (self.added or self.changed or self.deleted)
