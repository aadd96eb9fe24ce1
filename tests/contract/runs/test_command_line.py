"""`xtended` does from a shell what the API does, and says how it went in its exit code."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import real_servers
from real_servers import S3Server

from contract import dag_files
from contract.runs.conftest import Control
from contract.server import CHECKOUT

PROGRAM = CHECKOUT / ".venv" / "client" / "bin" / "xtended"
REFUSED, USAGE, INVALID, NOT_ALLOWED, UNREACHABLE = 1, 2, 3, 4, 5
COMMANDS = [
    ["login"],
    ["deploy"],
    ["validate"],
    ["sync", "s3"],
    ["sync", "mongo"],
    ["sync", "saved"],
    ["revisions"],
    ["diff"],
    ["rollback"],
    ["dags"],
    *(["runs", name] for name in ("trigger", "list", "state", "restart", "kill", "skip", "run", "clear")),
]


@dataclass
class Shell:
    """A folder to be in, and what the program is given there."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(
        self, *words: str, code: int = 0, given: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PROGRAM, *words],
            cwd=self.folder,
            input=given,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "XDG_CONFIG_HOME": str(self.folder / "config"),
                "COLUMNS": "200",
                **self.environment,
                **more,
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *words: str, code: int = 0, **more: str) -> Any:
        return json.loads(self.run(*words, "--json", code=code, **more).stdout)

    @property
    def profiles(self) -> Path:
        return self.folder / "config" / "airflow-xtended" / "profiles.json"

    def write(self, name: str, content: bytes) -> str:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return name


@pytest.fixture
def stranger(tmp_path: Path) -> Shell:
    """Nobody who is known."""
    return Shell(tmp_path)


@pytest.fixture
def shell(control: Control, tmp_path: Path) -> Shell:
    """The admin's, whose name and password are in the environment."""
    return Shell(
        tmp_path,
        {
            "XTENDED_URL": control.server.url,
            "XTENDED_USERNAME": "admin",
            "XTENDED_PASSWORD": control.server.passwords["admin"],
        },
    )


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with real_servers.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


def test_a_login_keeps_tokens_for_its_owner_alone_and_no_password(control: Control, stranger: Shell) -> None:
    password = control.server.passwords["admin"]
    stranger.run("dags", code=USAGE)
    login = ("login", control.server.url, "-u", "admin", "--password-stdin")
    stranger.run(*login, given=password + "\n")
    assert stat.S_IMODE(stranger.profiles.stat().st_mode) == 0o600
    assert password not in stranger.profiles.read_text()
    assert "diamond" in stranger.run("dags").stdout
    # Those tokens are for that server: another address gets none of them.
    stranger.run("--url", "http://127.0.0.1:9", "dags", code=USAGE)


def test_a_wrong_password_is_refused_and_nothing_is_kept(control: Control, stranger: Shell) -> None:
    login = ("login", control.server.url, "-u", "no-such-user", "--password-stdin")
    stranger.run(*login, given="wrong\n", code=NOT_ALLOWED)
    assert not stranger.profiles.exists()


def test_a_token_that_has_expired_is_renewed_by_itself(control: Control, stranger: Shell) -> None:
    login = ("--profile", "work", "login", control.server.url, "-u", "admin", "--password-stdin")
    stranger.run(*login, given=control.server.passwords["admin"] + "\n")
    kept = json.loads(stranger.profiles.read_text())
    good = kept["work"]["access_token"]
    kept["work"]["access_token"] = "expired"
    stranger.profiles.write_text(json.dumps(kept))
    assert "diamond" in stranger.run("--profile", "work", "dags").stdout
    renewed = json.loads(stranger.profiles.read_text())["work"]["access_token"]
    assert renewed not in ("expired", good)
    assert stat.S_IMODE(stranger.profiles.stat().st_mode) == 0o600


def test_a_file_is_deployed_and_live(control: Control, shell: Shell) -> None:
    file = shell.write("by_hand.py", dag_files.dag("by_hand"))
    body = shell.json("deploy", file, "--path", "cli", "--wait", "--unpause", "-m", "By hand")
    assert body["files"]["added"] == ["cli/by_hand.py"]
    assert body["dags"] == [{"dag_id": "by_hand", "live": True, "paused": False}]
    assert shell.json("runs", "trigger", "by_hand", "--wait")["state"] == "success"
    said = shell.run("revisions", "--path", "cli/by_hand.py").stdout
    assert "By hand" in said
    assert body["revision"][:12] in said
    # It is there already.
    shell.run("deploy", file, "--path", "cli", code=REFUSED)


def test_a_bad_file_is_shown_as_a_compiler_would(control: Control, shell: Shell) -> None:
    before = control.server.files()
    file = shell.write("broken.py", b"from airflow import DAG\nimport no_such_module\n\nDAG('broken')\n")
    for words in (["deploy", file], ["validate", file], ["deploy", file, "--path", "cli", "--dry-run"]):
        said = shell.run(*words, code=INVALID).stderr
        assert re.search(r"^broken\.py:2: error: .*no_such_module", said, re.MULTILINE), said
        assert "> 2 | import no_such_module" in said
        assert "  1 | from airflow import DAG" in said
    assert shell.json("deploy", file, code=INVALID)["import_errors"][0]["line"] == 2
    assert shell.json("validate", file, code=INVALID)["valid"] is False
    shell.write("tree/dags/broken.py", b"1/0\n# airflow dag\n")
    shell.write("tree/fine.py", dag_files.dag("fine"))
    said = shell.run("validate", "tree", code=INVALID).stderr
    assert said.startswith("tree/dags/broken.py:1: error: ")
    assert control.server.files() == before


def test_a_folder_is_deployed_as_one_change_and_rolled_back(control: Control, shell: Shell) -> None:
    before = control.server.files()
    shell.write("team/one.py", dag_files.dag("team_one"))
    shell.write("team/sub/two.py", dag_files.dag("team_two"))
    shell.write("team/query.sql", b"SELECT 1\n")
    shell.write("team/.git/config", b"hidden")
    shell.write("team/__pycache__/one.pyc", b"cache")
    assert shell.json("validate", "team", "--path", "team")["dag_ids"] == ["team_one", "team_two"]
    said = shell.run("deploy", "team", "--path", "team", "--dry-run").stdout
    assert "+++ b/team/query.sql" in said
    assert "+SELECT 1" in said
    assert control.server.files() == before
    body = shell.json("deploy", "team", "--path", "team", "--wait")
    assert body["files"]["added"] == ["team/one.py", "team/query.sql", "team/sub/two.py"]

    shell.write("team/query.sql", b"SELECT 2\n")
    (shell.folder / "team" / "one.py").unlink()
    again = ("deploy", "team", "--path", "team", "--force", "--delete-missing")
    said = shell.run(*again, "--dry-run").stdout
    assert "-SELECT 1\n+SELECT 2" in said
    assert "+++ b/team/one.py" in said
    changed = shell.json(*again, "--wait")
    assert changed["files"] == {"added": [], "changed": ["team/query.sql"], "deleted": ["team/one.py"]}
    # As much of the id as the table of revisions shows.
    shown = shell.run("revisions", "--limit", "1").stdout.split("WHY")[1].split()
    (short,) = (word for word in shown if changed["revision"].startswith(word) and len(word) > 6)
    assert "+SELECT 2" in shell.run("diff", short).stdout
    shell.run(*again, "--if-match", "0" * 40, code=REFUSED)

    parent = shell.json("revisions", "--limit", "1")["revisions"][0]["parent"]
    said = shell.run("rollback", parent, "--path", "team", "--dry-run").stdout
    assert "+SELECT 1" in said
    assert (control.server.dags / "team" / "query.sql").read_bytes() == b"SELECT 2\n"
    assert shell.json("rollback", parent, "--path", "team", "--wait")["dag_ids"] == ["team_one"]
    assert (control.server.dags / "team" / "query.sql").read_bytes() == b"SELECT 1\n"
    assert "has no run yet" in shell.run("runs", "restart", "team_one", code=REFUSED).stderr


def test_two_files_of_one_name_are_not_sent(shell: Shell) -> None:
    shell.write("a/same.py", dag_files.dag("same"))
    shell.write("b/same.py", dag_files.dag("same"))
    assert "would both be same.py" in shell.run("deploy", "a", "b/same.py", code=USAGE).stderr
    shell.run("deploy", "no-such-file.py", code=USAGE)


def test_runs_are_controlled(control: Control, shell: Shell) -> None:
    conf = json.dumps({"fail": ["left"]})
    run_id = shell.json("runs", "trigger", "diamond", "--conf", conf)["run_id"]
    assert control.finished("diamond", run_id) == "failed"
    assert shell.json("runs", "state", "diamond", "--run-id", run_id)["state"] == "failed"
    assert shell.json("runs", "list", "diamond", "--state", "failed")["runs"][0]["run_id"] == run_id
    assert run_id in shell.run("runs", "list", "diamond").stdout
    (control.started / f"{run_id}.mended").touch()
    cleared = shell.json("runs", "clear", "diamond", "--run-id", run_id, "--only-failed", "--dry-run")
    # Those that failed because of it are among them.
    assert [task["task_id"] for task in cleared["tasks"]] == ["bottom", "end", "left"]
    # Where no run is named, it is the newest.
    assert shell.json("runs", "state", "diamond")["run_id"] == run_id
    assert shell.json("runs", "restart", "diamond")["failed_task_count"] >= 1
    assert control.finished("diamond", run_id) == "success"
    alone = shell.json("runs", "run", "diamond", "--tasks", "right")
    assert alone["tasks"] == ["right"]
    assert control.finished("diamond", alone["run_id"]) == "success"
    # It fails where the run fails.
    failing = json.dumps({"fail": ["a"]})
    assert (
        shell.json("runs", "trigger", "chain", "--conf", failing, "--wait", code=REFUSED)["state"] == "failed"
    )


def test_running_tasks_are_killed_and_waiting_ones_skipped(control: Control, shell: Shell) -> None:
    run_id = shell.json("runs", "trigger", "deferred")["run_id"]
    control.reach("deferred", run_id, sleeper="deferred")
    skipped = shell.json("runs", "skip", "deferred", "later", "--run-id", run_id)
    assert [task["task_id"] for task in skipped["tasks"]] == ["later"]
    killed = shell.json("runs", "kill", "deferred", "--run-id", run_id, "--task-id", "sleeper")
    assert [task["task_id"] for task in killed["tasks"]] == ["sleeper"]
    control.reach("deferred", run_id, sleeper="failed", later="skipped")


def test_a_bucket_and_a_saved_source_are_followed(control: Control, shell: Shell, s3: S3Server) -> None:
    s3.fill("cli-bucket", {"from_shell.py": dag_files.dag("from_shell"), "notes.txt": b"x"})
    where = ("--endpoint-url", s3.url, "--region", "us-east-1", "--skip-purge")
    keys = {"XTENDED_S3_ACCESS_KEY": s3.access_key, "XTENDED_S3_SECRET_KEY": s3.secret_key}
    assert "+ from_shell.py" in shell.run("sync", "s3", "cli-bucket", *where, "--wait", **keys).stdout
    body = shell.json("sync", "s3", "cli-bucket", *where, **keys)
    assert body["sync_status"]["synced"] == ["from_shell.py", "notes.txt"]
    bad = {**keys, "XTENDED_S3_SECRET_KEY": "wrong"}
    done = shell.run("sync", "s3", "cli-bucket", *where, code=UNREACHABLE, **bad)
    assert "wrong" not in done.stderr + done.stdout
    kept = {
        "name": "cli",
        "kind": "s3",
        "s3_bucket_name": "cli-bucket",
        "s3_region": "us-east-1",
        "s3_endpoint_url": s3.url,
        "s3_access_key": s3.access_key,
        "s3_secret_key": s3.secret_key,
        "skip_purge": "true",
    }
    sent = {name: (None, value) for name, value in kept.items()}
    assert control.api.post("/sync_sources", files=sent).is_success
    assert shell.json("sync", "cli")["sync_status"]["synced"] == ["from_shell.py", "notes.txt"]
    assert shell.json("sync", "no-such-source", code=REFUSED)["status"] == 404


def test_who_lacks_a_right_or_a_server_is_told_so(control: Control, shell: Shell) -> None:
    file = shell.write("not_mine.py", dag_files.dag("not_mine"))
    viewer = {"XTENDED_USERNAME": "viewer", "XTENDED_PASSWORD": control.server.passwords["viewer"]}
    shell.run("deploy", file, code=NOT_ALLOWED, **viewer)
    shell.run("dags", code=NOT_ALLOWED, XTENDED_PASSWORD="wrong")
    nowhere = {"XTENDED_URL": f"http://127.0.0.1:{real_servers.free_port()}"}
    assert "can't be reached" in shell.run("dags", code=UNREACHABLE, **nowhere).stderr
    assert shell.json("dags", code=UNREACHABLE, **nowhere)["title"] == "The server can't be reached"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_answers_programs_as_well(stranger: Shell, words: list[str]) -> None:
    assert "--json" in stranger.run(*words, "--help").stdout


def test_a_shell_can_complete_it(stranger: Shell) -> None:
    assert "_XTENDED_COMPLETE" in stranger.run(_XTENDED_COMPLETE="source_bash").stdout


def test_the_program_loads_no_airflow_and_no_client_before_it_needs_them(stranger: Shell) -> None:
    python = PROGRAM.with_name("python")
    check = (
        "import sys, xtended_cli.main\n"
        "print([name for name in sys.modules if name.startswith(('airflow', 'pydantic', 'urllib3'))])"
    )
    done = subprocess.run([python, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
