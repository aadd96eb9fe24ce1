"""Run the tests on both hosts at the same time, then hold their answers side by side; `make test HOST=all` calls it.

Each host's tests take about one core. Arguments go to pytest; with any, not all tests are meant, and nothing is
compared.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]
ANSWERS = CLONE / ".answers"
HOSTS = ("airflow3", "airflow2")
# Without Airflow, and with the same versions of what they use in both environments: tested in the first alone.
# `test_ignoring` holds its subject against Airflow's own.
SAME_ON_BOTH = [
    path.relative_to(CLONE)
    for folder in ("dagstore", "sources")
    for path in sorted((CLONE / "tests" / folder).glob("test_*.py"))
    if path.stem != "test_ignoring"
]


def pytest(host: str, *arguments: str) -> list[str]:
    return [str(CLONE / ".venv" / host / "bin/python"), "-m", "pytest", *arguments]


def start(host: str, arguments: list[str]) -> tuple[subprocess.Popen[str], threading.Thread]:
    """The tests of one host, and the thread that shows what they say."""
    process = subprocess.Popen(
        pytest(host, f"--junitxml={ANSWERS / host}.xml", *arguments),
        cwd=CLONE,
        env={**os.environ, "XTENDED_ANSWERS": str(ANSWERS / f"{host}.jsonl")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )

    def show() -> None:
        for line in process.stdout or ():
            print(f"{host}  {line}", end="", flush=True)

    thread = threading.Thread(target=show)
    thread.start()
    return process, thread


def main() -> int:
    arguments = sys.argv[1:]
    shutil.rmtree(ANSWERS, ignore_errors=True)
    first, *others = HOSTS
    leaving_out = [] if arguments else [f"--ignore={path}" for path in SAME_ON_BOTH]
    started = [start(first, arguments), *(start(host, arguments + leaving_out) for host in others)]
    # Ctrl-C in the terminal reaches them too: they end by themselves.
    signal.signal(signal.SIGINT, lambda *_: None)
    for _, thread in started:
        thread.join()
    failed = sum(process.wait() != 0 for process, _ in started) > 0
    if not arguments:
        compared = subprocess.run(pytest("airflow3", "tests/side_by_side/compare.py"), cwd=CLONE, check=False)
        failed = failed or compared.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
