"""What recording a change of the DAG folder costs: one file in folders of several sizes, and 1,000 files at once.

Compared with git's own command line, which a user would keep a history with: `git add` and `git commit` after the
file is written, without the care for crashes that a change set takes.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from measures import Row, Samples

from xtended.dagstore import ChangeSet, DagStore

SIZES = (1, 1_000, 10_000)
MANY = 1_000
FLAT = 2.0
WARM_UP = 3
FILE = "measured.py"
CODE = "from airflow.sdk import DAG\n\nDAG({name!r}, schedule=None)\n# {noise}\n"


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Rows for the table; needs no Airflow."""
    rows = [one_file(scratch / f"one-{size}", size, rounds) for size in SIZES]
    first = rows[0][1]
    return [
        *(
            Row(
                what=f"commit of 1 file, {size:,} {'file' if size == 1 else 'files'} in the folder",
                ours=str(ours),
                other=f"git add, git commit: {git}",
                ratio=f"{ours.p50 / git.p50:.2f}",
                target=f"<= {FLAT:g}x of 1 file",
                reached=ours.p50 <= FLAT * first.p50,
            )
            for size, ours, git in rows
        ),
        *many_files(scratch / "many"),
    ]


def one_file(scratch: Path, size: int, rounds: int) -> tuple[int, Samples, Samples]:
    """From the lock to the mark that it is applied, as `DagStore.apply` does it; by turns with git."""
    store, checkout = DagStore(scratch / "dags", scratch / "history"), scratch / "git"
    for folder in (store.root, checkout):
        folder.mkdir(parents=True)
        for number in range(size - 1):
            (folder / f"other_{number:05}.py").write_text(code("other", number))
    store.recover()
    git(checkout, "init", "--quiet")
    commit(checkout)
    ours, theirs = [], []
    for number in range(WARM_UP + rounds):
        text = code("measured", number)
        with store.stage(ChangeSet({FILE: text.encode()}), force=True) as staged:
            ours.append(timed(lambda staged=staged: apply(store, staged)))
        (checkout / FILE).write_text(text)
        theirs.append(timed(lambda: commit(checkout, FILE)))
    return size, Samples(tuple(ours[WARM_UP:])), Samples(tuple(theirs[WARM_UP:]))


def many_files(scratch: Path) -> list[Row]:
    """1,000 new files, staged and applied; and the way back from there to the folder before and to them again."""
    store, checkout = DagStore(scratch / "dags", scratch / "history"), scratch / "git"
    store.root.mkdir(parents=True)
    checkout.mkdir()
    git(checkout, "init", "--quiet")
    files = {f"dag_{number:04}.py": code(f"dag_{number}", number).encode() for number in range(MANY)}

    def copy() -> None:
        for name, content in files.items():
            (checkout / name).write_bytes(content)
        commit(checkout)

    def put() -> None:
        with store.stage(ChangeSet(files), force=False) as staged:
            apply(store, staged)

    store.recover()
    before = store.head() or ""
    ours, theirs = timed(put), timed(copy)
    after = store.head() or ""
    took = timed(lambda: roll_back(store, before))
    again = timed(lambda: roll_back(store, after))
    git(checkout, "rm", "-r", "--quiet", ".")
    git(checkout, *AUTHOR, "commit", "--quiet", "--message", "none")
    theirs_again = timed(lambda: (git(checkout, "checkout", "HEAD~1", "--", "."), commit(checkout)))
    return [
        row(f"change set of {MANY:,} new files", ours, f"write, git add, git commit: {theirs:.2f} s", theirs),
        row(f"rollback that deletes {MANY:,} files", took, "-", None),
        row(
            f"rollback that brings {MANY:,} files back",
            again,
            f"git checkout, git commit: {theirs_again:.2f} s",
            theirs_again,
        ),
    ]


def row(what: str, ours: float, other: str, theirs: float | None) -> Row:
    ratio = "-" if theirs is None else f"{ours / theirs:.2f}"
    return Row(what=what, ours=f"{ours:.2f} s", other=other, ratio=ratio, target="-", reached=None)


def apply(store: DagStore, staged: object) -> None:
    with store.apply(staged, author="bench", operation="deploy_dag", message=""):
        pass


def roll_back(store: DagStore, revision: str) -> None:
    with store.stage(store.rollback(revision), force=False, replace=True) as staged:
        apply(store, staged)


def code(name: str, noise: object) -> str:
    return CODE.format(name=name, noise=noise)


AUTHOR = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")


def git(checkout: Path, *command: str) -> None:
    subprocess.run(["git", "-C", str(checkout), *command], check=True, capture_output=True)


def commit(checkout: Path, path: str = ".") -> None:
    git(checkout, "add", path)
    git(checkout, *AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "measured")


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
