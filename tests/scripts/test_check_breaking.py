"""`make check-breaking` lets no change through that breaks clients and is not announced."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parent.parent.parent
SCRIPT = CLONE / "scripts" / "check_breaking.py"
# Where Node is, without which the comparing program can't start.
WITH_NODE = {"PATH": f"{CLONE / '.venv' / 'tools' / 'bin'}:{os.environ['PATH']}"}
SPEC = CLONE / "openapi" / "xtended.yaml"
QUIET = "# Changelog\n\n## Unreleased\n\n### Changed\n\n- Things\n"
LOUD = "# Changelog\n\n## Unreleased\n\n### Breaking\n\n- Things\n"
RAISED = ("  version: 0.1.0", "  version: 0.2.0")


Check = Callable[..., subprocess.CompletedProcess[str]]


def _run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *words]
    return subprocess.run(command, env=WITH_NODE, capture_output=True, text=True, check=False)


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def run(*edits: tuple[str, str], changelog: str = QUIET) -> subprocess.CompletedProcess[str]:
        text = SPEC.read_text()
        (tmp_path / "released.yaml").write_text(text)
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "spec.yaml").write_text(text)
        (tmp_path / "CHANGELOG.md").write_text(changelog)
        files = ("--released", tmp_path / "released.yaml", "--spec", tmp_path / "spec.yaml")
        return _run(*files, "--changelog", tmp_path / "CHANGELOG.md")

    return run


REQUIRED = ("required: [archive]", "required: [archive, path]")


def test_what_breaks_nothing_passes(check: Check) -> None:
    assert check().returncode == 0
    assert check(("summary: Deploy a DAG file\n", "summary: Deploy it\n")).returncode == 0


def test_what_breaks_clients_fails_and_is_named(check: Check) -> None:
    done = check(REQUIRED)
    assert done.returncode == 1
    assert "POST /deploy_archive" in done.stdout


def test_it_takes_the_version_and_the_changelog_to_announce_it(check: Check) -> None:
    assert check(REQUIRED, changelog=LOUD).returncode == 1
    assert check(REQUIRED, RAISED).returncode == 1
    assert check(REQUIRED, RAISED, changelog=LOUD).returncode == 0


def test_the_spec_breaks_nothing_that_is_not_announced() -> None:
    done = _run()
    assert done.returncode == 0, done.stdout + done.stderr
