"""A DAG folder and its store, fresh for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from xtended.dagstore import ChangeSet, DagStore

# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    return folder


@pytest.fixture
def store(root: Path, tmp_path: Path) -> DagStore:
    return DagStore(root, tmp_path / "history")


@pytest.fixture
def deploy(store: DagStore):
    """Put and delete files as one change set; answers the revision."""

    def run(
        puts=None, deletes=(), *, force=True, author="ada", operation="deploy_dag", message="test", **options
    ):
        change_set = ChangeSet(
            {path: _bytes(content) for path, content in (puts or {}).items()}, frozenset(deletes)
        )
        with (
            store.stage(change_set, force=force) as staged,
            store.apply(staged, author=author, operation=operation, message=message, **options) as revision,
        ):
            return revision

    return run


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()
