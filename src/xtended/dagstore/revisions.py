"""What the history keeps of each revision, and of each file as the newest one has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xtended.dagstore.messages import OUTSIDE_OPERATION
from xtended.dagstore.trees import Leaf

__all__ = ["FileRow", "Revision", "Stat"]


@dataclass(frozen=True)
class Stat:
    """What tells that a file may have been changed; `hashed_ns` is when its content was last looked at."""

    size: int
    mtime_ns: int
    inode: int
    hashed_ns: int


@dataclass(frozen=True)
class FileRow:
    """A file as the newest revision has it; `stat` is None where the folder has not been compared since.

    `revision` is the last that touched the file, `outside` whether that one records the work of other hands.
    """

    leaf: Leaf
    sha256: str | None
    stat: Stat | None
    revision: str
    outside: bool


@dataclass(frozen=True)
class Revision:
    """A recorded change of the DAG folder.

    `seq` grows with each, `time` is in seconds since 1970, `author` the API user. `added`, `changed` and
    `deleted` are paths, `dags` has the path of each DAG that the change was about, where it is known.
    """

    seq: int
    id: str
    parent: str | None
    time: int
    author: str
    operation: str
    message: str
    request_key: str | None
    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    dags: Mapping[str, str | None]

    @property
    def outside(self) -> bool:
        """Whether it records what other hands than this API's did."""
        return self.operation == OUTSIDE_OPERATION
