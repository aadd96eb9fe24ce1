"""From a source of many entries to the named, checked bytes that the DAG folder lacks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from xtended.airflow_host.base import ImportProblem
from xtended.dagstore.archives import check_archive
from xtended.dagstore.changes import folders_above
from xtended.dagstore.names import check_path
from xtended.problems import BadArchive, BadName, EntryFailed, SourceFailed, TooLarge
from xtended.progress import Watch
from xtended.services import MEGABYTE, Services
from xtended.sources.base import Entry, Source
from xtended.synced import Fact, Remembered, digest


@dataclass(frozen=True)
class Selection:
    """Glob patterns of file names: those of `include` (none: all) but for those of `exclude`."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def takes(self, name: str) -> bool:
        if self.include and not any(fnmatchcase(name, pattern) for pattern in self.include):
            return False
        return not any(fnmatchcase(name, pattern) for pattern in self.exclude)


@dataclass
class Collection:
    """What a source holds. `puts` are the files that the folder lacks or has otherwise, `versions` theirs.

    `failures` say why an entry can't be taken; the folder's file of its name is left alone.
    """

    unchanged: set[str] = field(default_factory=set)
    puts: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    failures: list[ImportProblem] = field(default_factory=list)

    def fail(self, path: str, reason: str) -> None:
        self.puts.pop(path, None)
        self.unchanged.discard(path)
        self.failures.append(ImportProblem(path, None, reason))

    @property
    def synced(self) -> list[str]:
        return sorted([*self.unchanged, *self.puts])

    def facts(self, *, published: bool) -> dict[str, Fact]:
        """What is worth remembering once `puts` are in the folder."""
        return {
            path: Fact(self.versions[path], digest(content), published)
            for path, content in self.puts.items()
            if path in self.versions
        }


def collect(
    services: Services,
    source: Source,
    selection: Selection,
    remembered: Remembered,
    watch: Watch,
    *,
    published: bool,
) -> Collection:
    """Everything in the source that `selection` takes, what the folder has already not being fetched.

    With `published` that is what has been published, too.

    Raises TooLarge past `sync_max_files` or `sync_max_mb`, SourceFailed past `sync_timeout`, and what the
    source raises for reasons that are not one entry's.
    """
    collecting = _Collecting(services, source, remembered, watch)
    collecting.list(selection, published=published)
    collecting.fetch()
    return collecting.found


class _Collecting:
    def __init__(self, services: Services, source: Source, remembered: Remembered, watch: Watch) -> None:
        self.found = Collection()
        self._services = services
        self._source = source
        self._remembered = remembered
        self._watch = watch
        self._root = services.store().root
        self._limit = services.settings.sync_max_mb * MEGABYTE
        self._bytes = 0
        self._seconds = services.settings.sync_timeout
        self._fetched_files = 0
        self._end = time.monotonic() + self._seconds
        self._wanted: dict[str, Entry] = {}

    def list(self, selection: Selection, *, published: bool) -> None:
        origins: dict[str, str] = {}
        most = self._services.settings.sync_max_files
        for number, entry in enumerate(self._source.entries(), start=1):
            self._check_time()
            if number > most:
                raise TooLarge(f"The source has more than {most} files; narrow it down.", limit=most)
            if selection.takes(entry.name):
                self._take(entry, origins, published=published)
            self._watch("listed", number)
        for path in sorted(folders_above(origins) & origins.keys()):
            self._refuse(path, f"{path!r} is both a file and a folder of other files in the source.")

    def _take(self, entry: Entry, origins: dict[str, str], *, published: bool) -> None:
        if entry.problem is not None:
            self._refuse(entry.name, entry.problem)
            return
        try:
            path = check_path(entry.name)
        except BadName as problem:
            self._refuse(entry.name, problem.detail)
            return
        if path in origins:
            self._refuse(path, f"{path!r} is there twice: {origins[path]} and {entry.origin}.")
            return
        origins[path] = entry.origin
        most = self._services.max_file_bytes
        if entry.size is not None and entry.size > most:
            self._refuse(path, f"{path!r} has {entry.size} bytes; at most {most} are taken.")
        elif self._remembered.holds(self._root, path, entry.version, published=published):
            self.found.unchanged.add(path)
        else:
            self._spend(entry.size or 0)
            self._wanted[path] = entry

    def _refuse(self, path: str, reason: str) -> None:
        self._wanted.pop(path, None)
        self.found.fail(path, reason)

    def fetch(self) -> None:
        self._bytes = 0
        with ThreadPoolExecutor(self._services.settings.sync_concurrency) as threads:
            try:
                for path, fetched in self._fetched(threads):
                    self._settle(path, fetched)
                    self._fetched_files += 1
                    self._watch("fetched", self._fetched_files)
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise

    def _fetched(self, threads: ThreadPoolExecutor) -> Iterator[tuple[str, Future[bytes]]]:
        """Each wanted entry as it comes in; no more are under way than there are threads."""
        waiting = deque(self._wanted.items())
        under_way: dict[Future[bytes], str] = {}
        while waiting or under_way:
            while waiting and len(under_way) < self._services.settings.sync_concurrency:
                path, entry = waiting.popleft()
                under_way[threads.submit(self._read, path, entry)] = path
            done, _ = wait(under_way, timeout=1, return_when=FIRST_COMPLETED)
            self._check_time()
            # Also while nothing comes: whoever watches may want to end it.
            self._watch("fetched", self._fetched_files)
            for future in done:
                yield under_way.pop(future), future

    def _read(self, path: str, entry: Entry) -> bytes:
        with self._source.open(entry) as stream:
            content = stream.read()
        if path.endswith(".zip"):
            check_archive(content, self._services.archive_limits())
        return content

    def _settle(self, path: str, fetched: Future[bytes]) -> None:
        try:
            content = fetched.result()
        except (EntryFailed, TooLarge, BadArchive) as problem:
            self.found.fail(path, problem.detail)
            return
        self._spend(len(content))
        self.found.puts[path] = content
        version = self._wanted[path].version
        if version is not None:
            self.found.versions[path] = version

    def _spend(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limit:
            raise TooLarge(
                f"The files to fetch have more than {self._limit} bytes together, the most that is taken.",
                limit=self._limit,
            )

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            raise SourceFailed(f"Reading the source took longer than {self._seconds:g} seconds.")
