"""From a source to named, checked bytes in memory; nothing is written here."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection
from typing import Any, BinaryIO

from xtended.api import Upload
from xtended.dagstore.archives import check_archive
from xtended.dagstore.names import check_path, join_folder
from xtended.problems import BadArchive
from xtended.services import Services
from xtended.sources.base import Source
from xtended.sources.upload import UploadSource
from xtended.sources.url import UrlSource


def gather(services: Services, source: Source) -> dict[str, bytes]:
    """All entries of a source by path, each name and archive checked.

    Raises BadName, BadArchive, TooLarge, and what the source raises.
    """
    found: dict[str, bytes] = {}
    for entry in source.entries():
        path = check_path(entry.name)
        with source.open(entry) as stream:
            content = stream.read()
        if path.endswith(".zip"):
            check_archive(content, services.archive_limits())
        found[path] = content
    return found


def from_upload(
    services: Services, upload: Upload, folder: str | None, suffixes: Collection[str] | None = None
) -> dict[str, bytes]:
    """A file of the request, to be put below `folder`. Raises UnsupportedType beside what `gather` raises."""
    path = join_folder(folder, check_path(upload.filename, suffixes=suffixes))
    return gather(services, UploadSource({path: upload.stream}, max_bytes=services.max_file_bytes))


def from_archive(services: Services, upload: Upload, folder: str | None) -> dict[str, bytes]:
    """The members of a zip of the request, to be put below `folder`. Raises as `from_upload` does."""
    (packed,) = from_upload(services, upload, None, (".zip",)).values()
    members: dict[str, BinaryIO] = {}
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                members[join_folder(folder, info.filename)] = io.BytesIO(archive.read(info))
    if not members:
        raise BadArchive("The zip has folders alone, no files.")
    return gather(services, UploadSource(members, max_bytes=services.max_file_bytes))


def from_code(services: Services, filename: str, code: str, suffixes: Collection[str]) -> dict[str, bytes]:
    """Source code of the request, as the file it is to become."""
    path = check_path(filename, suffixes=suffixes)
    return gather(services, UploadSource.of_text(path, code, max_bytes=services.max_file_bytes))


def from_url(
    services: Services, filename: str, suffixes: Collection[str], **options: Any
) -> dict[str, bytes]:
    """A file behind a URL; `options` are `url` and `sha256` of UrlSource."""
    path = check_path(filename, suffixes=suffixes)
    source = UrlSource(
        path,
        policy=services.outbound_policy(),
        timeout=services.settings.outbound_timeout,
        max_bytes=services.max_file_bytes,
        **options,
    )
    return gather(services, source)
