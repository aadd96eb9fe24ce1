"""From paths on this machine to the files that are sent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xtended_cli.failures import Source, usage

DAG_SUFFIXES = (".py", ".zip")


@dataclass(frozen=True)
class LocalFile:
    """A file, and the name it gets below the folder that it is deployed to."""

    path: Path
    name: str

    def read(self) -> bytes:
        return self.path.read_bytes()


def collect(paths: Sequence[Path]) -> list[LocalFile]:
    """The files that are named, and all below the folders that are, hidden ones and caches left out.

    Raises typer.BadParameter where two would get one name, or there is none.
    """
    found: dict[str, LocalFile] = {}
    for path in paths:
        for file in _files(path):
            if file.name in found:
                raise usage(f"{found[file.name].path} and {file.path} would both be {file.name}.")
            found[file.name] = file
    if not found:
        raise usage("There is no file to send.")
    return [found[name] for name in sorted(found)]


def _files(path: Path) -> Iterator[LocalFile]:
    if not path.is_dir():
        yield LocalFile(path, path.name)
        return
    for below in path.rglob("*"):
        parts = below.relative_to(path).parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts) or not below.is_file():
            continue
        yield LocalFile(below, "/".join(parts))


def packed(files: Sequence[LocalFile]) -> bytes:
    """A zip of them, the same for the same files."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file.name), file.read(), zipfile.ZIP_DEFLATED)
    return into.getvalue()


def sources(files: Sequence[LocalFile], folder: str | None) -> Mapping[str, Source]:
    """The Python files among them, by the path that the server knows them by."""
    above = f"{folder.strip('/')}/" if folder else ""
    return {
        above + file.name: Source(str(file.path), file.read().decode(errors="replace"))
        for file in files
        if file.name.endswith(".py")
    }
