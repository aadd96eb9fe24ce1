"""A deploy that can't go well says why and changes nothing: not the folder, not the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from contract import checks, dag_files
from contract.conftest import MAX_FILE_MB
from contract.server import Server

Deploy = Callable[..., httpx.Response]


@contextmanager
def unchanged(server: Server) -> Iterator[None]:
    files, rows = server.files(), server.database()
    yield
    assert server.files() == files
    after = server.database()
    assert {table: after[table] for table in rows if after[table] != rows[table]} == {}


BROKEN = [
    pytest.param(b"import airflow  # dag\n\nx = undefined_name\n", 3, "undefined_name", id="name-error"),
    pytest.param(b"import airflow  # dag\ndef (:\n", 2, "invalid syntax", id="syntax-error"),
    pytest.param(
        b"import airflow  # dag\nimport no_such_module_here\n", 2, "no_such_module_here", id="import"
    ),
    pytest.param(b"import airflow  # dag\nraise ValueError('as asked')\n", 2, "as asked", id="raise"),
    pytest.param(b"import airflow  # dag\n\xff\xfe\n", None, "", id="not-utf8"),
]


@pytest.mark.parametrize(("content", "line", "words"), BROKEN)
def test_a_file_that_does_not_load_is_a_422_and_changes_nothing(
    server: Server, deploy: Deploy, name: str, content: bytes, line: int | None, words: str
) -> None:
    with unchanged(server):
        answer = deploy(f"{name}.py", content, otf_sync="y")
        body = checks.problem(answer, 422, "dag-invalid")
    (error,) = body["import_errors"]
    assert error["file"] == f"{name}.py"
    assert words in error["message"]
    if line is not None:
        assert error["line"] == line
    checks.silent_about(answer, str(server.home), "site-packages")


def test_a_broken_file_never_replaces_a_good_one(server: Server, deploy: Deploy, name: str) -> None:
    good = dag_files.dag(name)
    checks.success(deploy(f"{name}.py", good, otf_sync="y"))
    with unchanged(server):
        checks.problem(deploy(f"{name}.py", b"import airflow  # dag\n1/0\n", force="y"), 422, "dag-invalid")
    assert (server.dags / f"{name}.py").read_bytes() == good
    assert server.airflow.trigger(name)


def test_a_module_that_does_not_load_inside_a_zip_is_named(deploy: Deploy, name: str) -> None:
    packed = dag_files.archive({"main.py": b"import airflow  # dag\nimport broken\n", "broken.py": b"1/0\n"})
    body = checks.problem(deploy(f"{name}.zip", packed), 422, "dag-invalid")
    assert body["import_errors"][0]["file"].startswith(f"{name}.zip")


def test_a_file_that_defines_no_dag_is_not_deployed(server: Server, deploy: Deploy, name: str) -> None:
    with unchanged(server):
        checks.problem(deploy(f"{name}.py", b"import airflow  # dag\nX = 1\n"), 422, "dag-invalid")


def test_an_existing_file_is_a_409_without_force(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name)))
    with unchanged(server):
        for content in (dag_files.dag(name, "other"), dag_files.dag(name)):
            body = checks.problem(deploy(f"{name}.py", content, force="n"), 409, "file-exists")
            assert body["existing_file"] == f"{name}.py"


def test_a_dag_id_of_another_file_is_a_409_without_force(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    with unchanged(server):
        body = checks.problem(deploy(f"{name}_copy.py", dag_files.dag(name)), 409, "dag-defined-elsewhere")
    assert body["dag_ids"] == [name]
    assert f"{name}.py" in body["detail"]
    checks.success(deploy(f"{name}_copy.py", dag_files.dag(name, "mine"), otf_sync="y", force="y"))
    assert server.airflow.tasks(name) == {"mine"}


@pytest.mark.parametrize("word", ["y", "yes", "on", "true", "1", "Y", "TRUE", "On"])
def test_a_boolean_may_be_spelled_as_people_do(deploy: Deploy, name: str, word: str) -> None:
    assert checks.success(deploy(f"{name}.py", dag_files.dag(name), dry_run=word))["dry_run"] is True


@pytest.mark.parametrize("word", ["n", "no", "off", "false", "0", "N", "False"])
def test_a_no_is_a_no(deploy: Deploy, name: str, word: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name)))
    checks.problem(deploy(f"{name}.py", dag_files.dag(name), force=word), 409, "file-exists")


@pytest.mark.parametrize("word", ["", "maybe", "2", "yess", "null"])
def test_any_other_word_is_not_a_boolean(server: Server, deploy: Deploy, name: str, word: str) -> None:
    with unchanged(server):
        checks.problem(deploy(f"{name}.py", dag_files.dag(name), force=word), 400, "bad-request")


def test_a_dry_run_says_what_would_happen_and_changes_nothing(
    server: Server, deploy: Deploy, name: str
) -> None:
    with unchanged(server):
        body = checks.success(deploy(f"{name}.py", dag_files.dag(name), dry_run="y", otf_sync="y"))
        assert body["dry_run"] is True
        assert body["dag_ids"] == [name]
        assert body["files"]["added"] == [f"{name}.py"]
        assert body["dags"] == [{"dag_id": name, "live": False, "paused": None}]
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    with unchanged(server):
        body = checks.success(
            deploy(f"{name}.py", dag_files.dag(f"{name}_2"), dry_run="y", otf_sync="y", force="y")
        )
        assert body["files"]["changed"] == [f"{name}.py"]
        assert body["removed_dag_ids"] == [name]


@pytest.mark.parametrize("filename", ["notes.txt", "dag.pyc", "dag.py.exe", "dag", "dag.PY", "dag.tar.gz"])
def test_only_py_and_zip_are_deployed(server: Server, deploy: Deploy, filename: str) -> None:
    with unchanged(server):
        checks.problem(deploy(filename, dag_files.dag("never")), 415, "unsupported-type")


@pytest.mark.parametrize(
    "filename",
    [
        "../escaped.py",
        "..%2fescaped.py/../../x.py",
        "/etc/escaped.py",
        "C:\\escaped.py",
        "a\\..\\b.py",
        ".hidden.py",
        "folder/../../x.py",
        "./x.py",
        "a//b.py",
        "bell\x07.py",
        "x" * 300 + ".py",
        "__pycache__/x.py",
    ],
)
def test_a_name_that_leaves_the_folder_or_hides_is_a_400(
    server: Server, admin: httpx.Client, filename: str
) -> None:
    code = dag_files.dag("never").decode()
    with unchanged(server):
        answer = admin.post(
            "/create_dag",
            files={"filename": (None, filename), "dag_code": (None, code), "force": (None, "y")},
        )
        checks.problem(answer, 400, "bad-name")
    assert not list(server.home.rglob("escaped.py"))


@pytest.mark.parametrize("path", ["..", "../..", "/etc", "a/../..", ".git", "a\\b", "~/x\x00"])
def test_a_folder_that_leaves_the_dag_folder_is_a_400(
    server: Server, deploy: Deploy, name: str, path: str
) -> None:
    with unchanged(server):
        checks.problem(deploy(f"{name}.py", dag_files.dag(name), path=path), 400, "bad-name")


def test_a_file_over_the_cap_is_a_413(server: Server, deploy: Deploy, name: str) -> None:
    big = dag_files.dag(name) + b"#" * (MAX_FILE_MB * 2**20)
    with unchanged(server):
        checks.problem(deploy(f"{name}.py", big), 413, "too-large")
        checks.problem(deploy(f"{name}.py", big + b"#" * (3 * 2**20)), 413, "too-large")


def test_a_text_field_over_a_megabyte_is_a_413(server: Server, admin: httpx.Client, name: str) -> None:
    code = dag_files.dag(name).decode() + "#" * (2**20 + 10)
    with unchanged(server):
        answer = admin.post("/create_dag", files={"filename": (None, f"{name}.py"), "dag_code": (None, code)})
        checks.problem(answer, 413, "too-large")


ARCHIVES = [
    pytest.param(b"PK\x03\x04 no zip at all", "bad-archive", id="garbage"),
    pytest.param(dag_files.archive({"../out.py": b"x"}), "bad-archive", id="climbs"),
    pytest.param(dag_files.archive({"/abs.py": b"x"}), "bad-archive", id="absolute"),
]


@pytest.mark.parametrize(("content", "kind"), ARCHIVES)
def test_a_zip_that_is_none_or_climbs_out_is_a_400(
    server: Server, deploy: Deploy, name: str, content: bytes, kind: str
) -> None:
    with unchanged(server):
        answer = deploy(f"{name}.zip", content, force="y")
        assert answer.status_code == 400, answer.text
        assert answer.json()["type"].endswith((kind, "bad-name"))


def test_a_zip_bomb_is_refused(server: Server, deploy: Deploy, name: str) -> None:
    bomb = dag_files.archive({"main.py": dag_files.dag(name), "zeros.bin": b"\0" * (64 * 2**20)})
    with unchanged(server):
        checks.problem(deploy(f"{name}.zip", bomb), 413, "too-large")


def test_a_wrong_media_type_is_a_415(admin: httpx.Client) -> None:
    checks.problem(admin.post("/deploy_dag", json={"dag_file": "x"}), 415, "media-type-not-supported")


def test_a_missing_file_or_an_unknown_field_is_a_400(server: Server, admin: httpx.Client, name: str) -> None:
    content = (f"{name}.py", dag_files.dag(name))
    with unchanged(server):
        checks.problem(admin.post("/deploy_dag", files={"force": (None, "y")}), 400, "bad-request")
        checks.problem(
            admin.post("/deploy_dag", files={"dag_file": content, "fource": (None, "y")}), 400, "bad-request"
        )
        checks.problem(
            admin.post("/deploy_dag", files=[("dag_file", content), ("dag_file", content)]),
            400,
            "bad-request",
        )
        checks.problem(
            admin.post(
                "/deploy_dag", content=b"--x\r\ngarbage", headers={"Content-Type": "multipart/form-data"}
            ),
            400,
            "bad-request",
        )


def test_validate_answers_and_changes_nothing(server: Server, admin: httpx.Client, name: str) -> None:
    with unchanged(server):
        sent = {"dag_file": (f"{name}.py", dag_files.dag(name))}
        body = checks.success(admin.post("/validate_dag", files=sent))
        assert (body["valid"], body["dag_ids"], body["import_errors"]) == (True, [name], [])
        code = {"filename": (None, f"{name}.py"), "dag_code": (None, "import airflow  # dag\n1/0\n")}
        body = checks.success(admin.post("/validate_dag", files=code))
        assert body["valid"] is False
        assert body["import_errors"][0]["line"] == 2
        checks.problem(admin.post("/validate_dag", files={"path": (None, "x")}), 400, "bad-request")
        checks.problem(admin.post("/validate_dag", files={"dag_code": (None, "x")}), 400, "bad-request")


def test_validate_names_dag_ids_that_are_taken(admin: httpx.Client, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    sent = {"dag_file": (f"{name}_2.py", dag_files.dag(name))}
    assert checks.success(admin.post("/validate_dag", files=sent))["conflicts"] == [name]
