"""Say what the spec breaks for those who use the last released one, and fail where that is not announced.

`make check-breaking` and `make lint` call this. A breaking change is announced by a version of its own (a new major
one; before 1.0.0 a new minor one) and by a "### Breaking" list below that version, or below "Unreleased", in the
CHANGELOG. At a release, `openapi/released.yaml` becomes a copy of the spec.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
OASDIFF = CLONE / "node_modules" / ".bin" / "oasdiff"
FAILS = 3
"""The level of oasdiff for what breaks clients for certain."""


def breaking(released: Path, spec: Path) -> list[str]:
    """What breaks, a line each. Ends the program where the two can't be compared."""
    command = [str(OASDIFF), "breaking", str(released), str(spec), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return [
        f"{change.get('operation', '')} {change.get('path', '')}: {change['text']} [{change['id']}]".strip()
        for change in json.loads(done.stdout or "[]")
        if change["level"] >= FAILS
    ]


def version(spec: Path) -> tuple[int, int, int]:
    found = re.search(r"^  version: (\d+)\.(\d+)\.(\d+)$", spec.read_text(), re.MULTILINE)
    if found is None:
        sys.exit(f"{spec} names no version.")
    major, minor, patch = (int(part) for part in found.groups())
    return major, minor, patch


def announced(old: tuple[int, int, int], new: tuple[int, int, int], changelog: str) -> bool:
    """Whether the version and the CHANGELOG say that clients may break."""
    moved = new[0] > old[0] or (new[0] == 0 and new[:2] > old[:2])
    name = re.escape(".".join(str(part) for part in new))
    section = re.search(
        rf"^## \[?(?:Unreleased|{name})\b.*?(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL | re.IGNORECASE
    )
    return moved and section is not None and "\n### Breaking\n" in section[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--released", type=Path, default=CLONE / "openapi" / "released.yaml")
    parser.add_argument("--spec", type=Path, default=CLONE / "openapi" / "xtended.yaml")
    parser.add_argument("--changelog", type=Path, default=CLONE / "CHANGELOG.md")
    given = parser.parse_args()
    found = breaking(given.released, given.spec)
    if not found:
        return 0
    print("The spec breaks clients of the last released one:", *found, sep="\n  ")
    if announced(version(given.released), version(given.spec), given.changelog.read_text()):
        print("Its version and the CHANGELOG say so.")
        return 0
    print(
        'Neither may do that silently: raise the version, and list it below "### Breaking" in CHANGELOG.md.'
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
