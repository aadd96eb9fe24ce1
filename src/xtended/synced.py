"""Which bytes a version of a source's entry had, remembered from one sync to the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Fact(NamedTuple):
    """What was put at one path: from which version, with which SHA-256, and whether it was published."""

    version: str
    sha256: str
    published: bool


@dataclass(frozen=True)
class Remembered:
    """Facts by path of the DAG folder.

    Nothing in it is about what the folder holds now: that is looked at each time, so nothing that happens to
    the folder, or to this memory, can make a sync take a file for one that it is not.
    """

    file: Path
    _known: Mapping[str, Fact]

    @classmethod
    def load(cls, file: Path) -> Remembered:
        """What `file` holds; nothing, where it is missing or damaged."""
        try:
            rows = json.loads(file.read_bytes())
            return cls(file, {path: Fact(*row) for path, row in rows.items()})
        except (OSError, ValueError, AttributeError, TypeError):
            return cls(file, {})

    def holds(self, root: Path, path: str, version: str | None, *, published: bool) -> bool:
        """Whether the file at `path` below `root` holds the bytes that this version of it has.

        With `published` also whether its DAGs were published, so that they are live.
        """
        known = self._known.get(path)
        if (
            known is None
            or version is None
            or known.version != version
            or (published and not known.published)
        ):
            return False
        content = _regular_file(root / path)
        return content is not None and digest(content) == known.sha256

    def keep(self, facts: Mapping[str, Fact], *, gone: Collection[str]) -> None:
        """Remember these by path beside what is known, and forget others. A failure costs speed, nothing else."""
        if not facts and not gone:
            return
        merged = {path: fact for path, fact in self._known.items() if path not in gone} | dict(facts)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.file.parent, prefix=f".{self.file.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as out:
                    json.dump(merged, out)
                Path(temporary).replace(self.file)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
                raise
        except OSError as error:
            log.warning("What was synced could not be remembered: %s", error.strerror)


def _regular_file(path: Path) -> bytes | None:
    # Without the store's care for links: what is read is compared and thrown away, a thousand times in a sync.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(handle).st_mode) else None
    except OSError:
        return None
