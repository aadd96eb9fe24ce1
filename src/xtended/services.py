"""What the handlers work with: the host, the settings, the parser and the DAG folder, put together once."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from xtended.airflow_host.base import Host
from xtended.dagparse.client import Parser
from xtended.dagstore.archives import ArchiveLimits
from xtended.dagstore.store import DagStore
from xtended.settings import Settings
from xtended.sources.outbound import OutboundPolicy

MEGABYTE = 1024 * 1024


@dataclass
class Services:
    """One per web process. The DAG folder is looked up late: it may be missing while Airflow starts."""

    host: Host
    settings: Settings
    parser: Parser
    _stores: dict[Path, DagStore] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def assemble(cls, host: Host) -> Services:
        """Read the settings and set the parts up. Raises SettingsError."""
        settings = Settings.load(host.option)
        parser = Parser(
            host.parse_backend(),
            host.home() / "xtended" / "run",
            timeout=settings.parse_timeout,
            memory_mb=settings.parse_memory_mb,
            concurrency=settings.parse_concurrency,
            idle_seconds=settings.parser_idle_seconds,
        )
        return cls(host, settings, parser)

    @property
    def state_dir(self) -> Path:
        """Where this extension keeps what must outlive a restart."""
        return self.host.home() / "xtended"

    def store(self) -> DagStore:
        """The DAG folder's store. Raises FolderNotOurs."""
        return self.store_at(self.host.dag_folder())

    def store_at(self, root: Path) -> DagStore:
        """The store of one folder, made once."""
        with self._lock:
            if root not in self._stores:
                # Each folder has a history, and a lock, of its own.
                kept = self.state_dir / "folders" / hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
                self._stores[root] = DagStore(
                    root,
                    kept / "history",
                    lock_timeout=self.settings.lock_timeout,
                    ignore_syntax=self.host.ignore_syntax(),
                )
            return self._stores[root]

    def upload_roots(self) -> tuple[Path, ...]:
        """Absolute folders beside the DAG folder that uploads may go below."""
        return tuple(Path(os.path.normpath(root)) for root in self.settings.upload_roots)

    def archive_limits(self) -> ArchiveLimits:
        return ArchiveLimits(
            members=self.settings.max_archive_members,
            total_bytes=self.settings.max_archive_mb * MEGABYTE,
            ratio=self.settings.max_archive_ratio,
        )

    def outbound_policy(self) -> OutboundPolicy:
        return OutboundPolicy(self.settings.outbound_allow)

    @property
    def max_file_bytes(self) -> int:
        return self.settings.max_file_mb * MEGABYTE

    def shown(self, path: str) -> str:
        """A path as the older API showed it, without telling where on the server the folder is."""
        return f"/{self.store().root.name}/{path}"
