"""What a change leaves in the audit log: enough to find it again, and no more than grows with the change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from xtended.airflow_host.base import AuditEntry, ParsedDag, ParsedFile
from xtended.airflow_host.identity import User
from xtended.auditing import NAMED, entries
from xtended.dagstore.changes import ChangeSet, Staged
from xtended.outcomes import Findings

ME = User("me", None)


def _entries(
    added: Sequence[str], dags: Sequence[tuple[str, str]], *, forgotten: bool = False
) -> list[AuditEntry]:
    staged = Staged(
        change_set=ChangeSet(dict.fromkeys(added, b"")),
        tree_root=Path("/nowhere"),
        added=tuple(added),
        changed=(),
        deleted=(),
        unchanged=(),
        old_sha256={},
    )
    files = tuple(ParsedFile(path, (ParsedDag(dag_id, "{}"),), (), (), 0.1) for dag_id, path in dags)
    made = entries(ME, "s3_sync", staged, Findings(files, ()), "f00d", forgotten=forgotten)
    return list(made)


def test_a_small_change_is_named_whole_with_each_of_its_dags() -> None:
    (entry,) = _entries(["a.py", "helper.py"], [("a", "a.py"), ("b", "a.py")])
    assert (entry.event, entry.user, entry.dag_ids) == ("xtended.s3_sync", ME, ("a", "b"))
    assert entry.details == {
        "revision": "f00d",
        "added": ["a.py", "helper.py"],
        "changed": [],
        "deleted": [],
    }


def test_each_dag_of_a_large_change_has_an_entry_with_its_own_file() -> None:
    found = _entries(
        [f"{n}.py" for n in range(1000)],
        [(f"dag_{n}", f"{n}.py") for n in range(1000)] + [("stays", "old.py")],
    )
    assert {entry.dag_ids: entry.details for entry in found} == {
        **{(f"dag_{n}",): {"revision": "f00d", "added": [f"{n}.py"]} for n in range(1000)},
        ("stays",): {"revision": "f00d"},
    }


def test_an_entry_stays_small_however_large_the_change_is() -> None:
    paths = [f"{'x' * 200}/{n}.py" for n in range(10_000)]
    for found in (
        _entries(paths, []),
        _entries(paths, [(f"dag_{n}", paths[n]) for n in range(10_000)], forgotten=True),
    ):
        (entry,) = found
        assert entry.dag_ids == ()
        assert entry.details["added"] == paths[:NAMED]
        assert entry.details["added_count"] == 10_000
        assert len(json.dumps(entry.details)) < 2**16
