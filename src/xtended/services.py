"""What the handlers work with: the host, the settings, the parser and the DAG folder, put together once."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xtended.airflow_host.base import Host
from xtended.attempts import Attempts
from xtended.dagparse.client import Parser
from xtended.dagstore.archives import ArchiveLimits
from xtended.dagstore.journal import Finished
from xtended.dagstore.names import DAG_SUFFIXES
from xtended.dagstore.store import DagStore
from xtended.operations import Operations
from xtended.problems import Problem
from xtended.refresh_tokens import RefreshTokens
from xtended.relaying import Relay
from xtended.settings import (
    MANAGED_DAGS_SECTION,
    OLDER_PLUGIN_SECTION,
    ManagedDagsSettings,
    OlderPluginSettings,
    Settings,
)
from xtended.sources.outbound import OutboundPolicy

MEGABYTE = 1024 * 1024
DAY_SECONDS = 24 * 3600

log = logging.getLogger(__name__)


@dataclass
class Services:
    """One per web process. The DAG folder is looked up late: it may be missing while Airflow starts."""

    host: Host
    settings: Settings
    parser: Parser
    older_plugin: OlderPluginSettings = field(default_factory=OlderPluginSettings)
    managed_dags: ManagedDagsSettings = field(default_factory=ManagedDagsSettings)
    relay: Relay = field(init=False, repr=False)
    """Set by the binding of the contract, whose operations it calls."""
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
        older_plugin = OlderPluginSettings.load(lambda key: host.option(key, OLDER_PLUGIN_SECTION))
        managed_dags = ManagedDagsSettings.load(lambda key: host.option(key, MANAGED_DAGS_SECTION))
        if settings.legacy_urls and older_plugin.log_loading:
            log.info("Older URLs: %s", older_plugin)
        return cls(host, settings, parser, older_plugin, managed_dags)

    def start(self) -> None:
        """For when the web server starts: load the parser, finish what a killed process left of a change."""
        self.parser.warm()
        threading.Thread(target=self._recover, name="xtended-recovery", daemon=True).start()

    def store(self) -> DagStore:
        """The DAG folder's store. Raises FolderNotOurs."""
        return self._store(self.host.dag_folder(), self._follow)

    def store_at(self, root: Path) -> DagStore:
        """The store of a folder beside the DAG folder."""
        return self._store(root, None)

    def _store(self, root: Path, finished: Finished | None) -> DagStore:
        with self._lock:
            if root not in self._stores:
                self._stores[root] = DagStore(
                    root,
                    # Each folder has a history, and a lock, of its own.
                    self._histories() / _named_after(root),
                    lock_timeout=self.settings.lock_timeout,
                    keep_days=self.settings.history_keep_days,
                    keep_revisions=self.settings.history_keep_revisions,
                    max_bytes=self.settings.history_max_mb * MEGABYTE,
                    ignore_syntax=self.host.ignore_syntax(),
                    finished=finished,
                )
            return self._stores[root]

    def _follow(self, put: Sequence[str], deleted: Sequence[str]) -> None:
        """Have the database follow a change whose process was killed, perhaps before it saw to that."""
        try:
            with self.host.transaction() as transaction:
                transaction.request_parse([path for path in put if path.endswith(DAG_SUFFIXES)])
                transaction.retire(deleted)
        except Exception:
            # The DAG processor finds out by itself, if later.
            log.exception("Airflow was not told of a change that has been finished")

    def _histories(self) -> Path:
        chosen = self.settings.history_path
        return Path(chosen) if chosen else self.host.home() / "xtended" / "history"

    def _recover(self) -> None:
        # Not in the way of the start: the first look at a large folder reads all of it.
        try:
            self.store().recover()
        except Problem as problem:
            log.warning("The history of the DAG folder is not up to date: %s", problem.detail)

    def synced_file(self) -> Path:
        """Where it is remembered what was last synced into the DAG folder. Raises FolderNotOurs."""
        return self.host.home() / "xtended" / "synced" / f"{_named_after(self.host.dag_folder())}.json"

    def operations(self) -> Operations:
        """What goes on in the background."""
        return Operations(self.host.home() / "xtended" / "operations")

    def attempts(self) -> Attempts:
        """Who has tried which user's password lately, in vain."""
        return Attempts(self.host.home() / "xtended" / "run" / "attempts.json")

    def refresh_tokens(self) -> RefreshTokens:
        """Who may ask for a new access token without a password."""
        days = self.settings.refresh_token_days
        return RefreshTokens(self.host.home() / "xtended" / "refresh-tokens", days * DAY_SECONDS)

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


def _named_after(root: Path) -> str:
    """A name that no other folder has."""
    return f"{root.name}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}"
