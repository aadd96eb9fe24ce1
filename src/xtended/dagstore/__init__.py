"""DAG files at rest: names, archives, staging, atomic change sets, history."""

from xtended.dagstore.archives import ArchiveLimits, Member, check_archive
from xtended.dagstore.changes import ChangeSet, Staged
from xtended.dagstore.names import check_path, join_folder
from xtended.dagstore.reading import LIVE, LiveFile, Page
from xtended.dagstore.requests import Once
from xtended.dagstore.revisions import Revision
from xtended.dagstore.store import DagStore

__all__ = [
    "LIVE",
    "ArchiveLimits",
    "ChangeSet",
    "DagStore",
    "LiveFile",
    "Member",
    "Once",
    "Page",
    "Revision",
    "Staged",
    "check_archive",
    "check_path",
    "join_folder",
]
