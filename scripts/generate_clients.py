"""Make the clients below clients/ from the spec, or say where they differ from it.

`make clients` and `make lint` call this.

Only what is named here is taken from the generator: packages' metadata and READMEs are written by hand.
"""

from __future__ import annotations

import argparse
import filecmp
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
SPEC = CLONE / "openapi" / "xtended.yaml"
GENERATOR = CLONE / ".venv" / "clients" / "bin" / "openapi-generator-cli"
# What each client consists of: from the generator's folder to the client's.
TAKEN = {
    "python": {"airflow_xtended_client": "airflow_xtended_client"},
    "typescript": {
        "apis": "src/apis",
        "models": "src/models",
        "index.ts": "src/index.ts",
        "runtime.ts": "src/runtime.ts",
    },
}


def generate(language: str, into: Path) -> None:
    """Run the generator. Ends the program where it fails."""
    version = re.search(r"^  version: (\S+)$", SPEC.read_text(), re.MULTILINE)
    if version is None:
        sys.exit(f"{SPEC} names no version.")
    command = [str(GENERATOR), "generate", "--input-spec", str(SPEC), "--output", str(into)]
    command += ["--config", str(CLONE / "clients" / f"{language}.yaml")]
    command += ["--additional-properties", f"packageVersion={version[1]}"]
    done = subprocess.run(
        command, cwd=CLONE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout)
    for file in into.rglob("*"):
        if file.is_file():
            # The generator leaves blanks at the ends of lines.
            lines = file.read_text(encoding="utf-8").splitlines()
            file.write_text("\n".join(line.rstrip() for line in lines).rstrip() + "\n", encoding="utf-8")


def put(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def differences(source: Path, target: Path) -> Iterator[str]:
    """Files that are not the same on both sides, relative to the clone."""
    wanted = _files(source)
    there = _files(target) if target.exists() else {}
    for name in sorted(wanted.keys() | there.keys()):
        made, kept = wanted.get(name), there.get(name)
        if made is None or kept is None or not filecmp.cmp(made, kept, shallow=False):
            yield str((target / name if name else target).relative_to(CLONE))


def _files(root: Path) -> dict[str, Path]:
    if root.is_file():
        return {"": root}
    return {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail where a client is not the spec's"
    )
    check = parser.parse_args().check
    differing: list[str] = []
    for language, parts in TAKEN.items():
        with tempfile.TemporaryDirectory(prefix="xtended-client-") as scratch:
            generate(language, Path(scratch))
            for made, name in parts.items():
                source, target = Path(scratch) / made, CLONE / "clients" / language / name
                if check:
                    differing += differences(source, target)
                else:
                    put(source, target)
    if differing:
        print("These are not what openapi/xtended.yaml gives; run `make clients`:", *differing, sep="\n  ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
