"""DAG code that misbehaves costs its own request: the server answers as before, and nothing is left over."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from contract import checks, dag_files
from contract.server import Server

Deploy = Callable[..., httpx.Response]
START = "import os, sys, time, airflow  # dag\n"
MARK = "hostile-dag-file-was-here"

HOSTILE = {
    "exits-hard": ("os._exit(7)", 422),
    "exits": ("sys.exit(3)", 422),
    "kills-itself": ("os.kill(os.getpid(), 9)", 422),
    "recurses": ("def f(): f()\nf()", 422),
    "allocates-without-end": ("x = []\nwhile True: x.append(bytearray(2**24))", 422),
    "raises-base-exception": ("class Odd(BaseException): pass\nraise Odd()", 422),
    "loops-for-ever": ("while True: pass", 504),
    "sleeps-for-ever": ("time.sleep(10**6)", 504),
    "ignores-sigterm": (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.signal(signal.SIGALRM, "
        "signal.SIG_IGN)\nwhile True: time.sleep(1)",
        504,
    ),
    "crashes": ("import ctypes\nctypes.string_at(0)", 422),
}
HARMLESS = {
    "prints-a-gigabyte": "for _ in range(1024): sys.stdout.write('x' * 2**20)",
    "forks": f"if os.fork() == 0:\n    os.execvp('sleep', ['{MARK}', '600'])",
    "forks-a-daemon": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        os.execvp('sleep', ['{MARK}', '600'])\n    os._exit(0)"
    ),
    "starts-a-process": f"import subprocess\nsubprocess.Popen(['{MARK}', '600'], executable='sleep')",
    "closes-its-descriptors": "os.closerange(0, 3)",
}


def left_over(server: Server) -> list[str]:
    """What runs of a parse that is over, after the moment that its end may take."""
    deadline = time.monotonic() + 10
    while True:
        found = [command for command in server.commands().values() if MARK in command]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def answers_as_before(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}_after.py", dag_files.dag(f"{name}_after"), otf_sync="y"))
    assert server.airflow.healthy()
    checks.success(server.client(None).get("/health"))
    assert left_over(server) == []


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_costs_its_own_request(server: Server, deploy: Deploy, name: str, what: str) -> None:
    code, status = HOSTILE[what]
    before = server.files()
    answer = deploy(f"{name}.py", (START + code).encode())
    body = checks.problem(answer, status, "dag-invalid" if status == 422 else "parse-timeout")
    assert f"{name}.py" in answer.text
    if status == 422:
        assert body["import_errors"][0]["message"]
    assert server.files() == before
    answers_as_before(server, deploy, name)


@pytest.mark.parametrize("what", HARMLESS)
def test_a_noisy_file_that_loads_is_deployed_and_cleaned_up_after(
    server: Server, deploy: Deploy, name: str, what: str
) -> None:
    content = dag_files.dag(name, before=START + HARMLESS[what])
    checks.success(deploy(f"{name}.py", content, otf_sync="y"))
    answers_as_before(server, deploy, name)
    checks.success(server.admin.delete("/delete_dag", params={"dag_id": name}))


def test_dag_code_is_in_no_log(server: Server, deploy: Deploy, name: str) -> None:
    secret = f"in-the-source-{name}"
    content = dag_files.dag(name, before=f"print({secret!r})\nimport logging\nlogging.warning({secret!r})")
    checks.success(deploy(f"{name}.py", content, otf_sync="y"))
    checks.problem(
        deploy(f"{name}_2.py", f"import airflow  # dag\nx = {secret!r}\n1/0\n".encode()), 422, "dag-invalid"
    )
    assert secret not in server.log()
