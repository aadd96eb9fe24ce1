"""upload_file: files of any type, below the DAG folder or an allowed root, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.conftest import MAX_FILE_MB
from contract.server import Server

Upload = Callable[..., httpx.Response]


@pytest.fixture
def upload(admin: httpx.Client) -> Upload:
    """POST upload_file as admin: a file name, its bytes, and fields."""

    def send(filename: str, content: bytes, **fields: str) -> httpx.Response:
        return admin.post("/upload_file", files={"file": (filename, content)}, data=fields)

    return send


@pytest.mark.parametrize("suffix", [".txt", ".yaml", ".sql", ".bin", "", ".tar.gz", ".PY", " with space.csv"])
def test_a_file_of_any_type_lands_byte_for_byte(
    upload: Upload, server: Server, name: str, suffix: str
) -> None:
    content = bytes(range(256))
    body = success(upload(name + suffix, content))
    assert body["message"] == f"File [/dags/{name}{suffix}] has been uploaded"
    assert body["files"]["added"] == [name + suffix]
    assert body["dag_ids"] == []
    assert (server.dags / (name + suffix)).read_bytes() == content


def test_an_empty_file_is_a_file(upload: Upload, server: Server, name: str) -> None:
    success(upload(f"{name}.txt", b""))
    assert (server.dags / f"{name}.txt").read_bytes() == b""


def test_path_names_a_folder_below_the_dag_folder(upload: Upload, server: Server, name: str) -> None:
    body = success(upload("query.sql", b"SELECT 1", path=f"{name}/sql/"))
    assert body["message"] == f"File [/dags/{name}/sql/query.sql] has been uploaded"
    assert (server.dags / name / "sql" / "query.sql").is_file()


def test_an_existing_file_needs_force(upload: Upload, server: Server, name: str) -> None:
    success(upload(f"{name}.txt", b"one"))
    body = problem(upload(f"{name}.txt", b"two", force="n"), 409, "file-exists")
    assert body["existing_file"] == f"{name}.txt"
    assert (server.dags / f"{name}.txt").read_bytes() == b"one"
    success(upload(f"{name}.txt", b"two", force="y"))
    assert (server.dags / f"{name}.txt").read_bytes() == b"two"


def test_a_python_file_need_not_define_a_dag(upload: Upload, server: Server, name: str) -> None:
    body = success(upload(f"{name}.py", b"# airflow dag\nANSWER = 42\n"))
    assert body["dag_ids"] == []
    assert (server.dags / f"{name}.py").is_file()


def test_a_zip_need_not_define_a_dag(upload: Upload, server: Server, name: str) -> None:
    success(upload(f"{name}.zip", dag_files.archive({"module.py": b"ANSWER = 42\n"})))
    assert (server.dags / f"{name}.zip").is_file()


def test_a_python_file_with_a_dag_says_so(upload: Upload, name: str) -> None:
    assert success(upload(f"{name}.py", dag_files.dag(name)))["dag_ids"] == [name]


def test_a_broken_python_file_is_refused(upload: Upload, server: Server, name: str) -> None:
    success(upload(f"{name}.py", b"# airflow dag\nANSWER = 42\n"))
    problem(upload(f"{name}.py", b"# airflow dag\n1/0\n", force="y"), 422, "dag-invalid")
    assert (server.dags / f"{name}.py").read_bytes() == b"# airflow dag\nANSWER = 42\n"


def test_a_bad_zip_is_refused(upload: Upload, server: Server, name: str) -> None:
    problem(upload(f"{name}.zip", b"no zip"), 400, "bad-archive")
    assert not (server.dags / f"{name}.zip").exists()


def test_a_file_over_the_limit_is_refused(upload: Upload, server: Server, name: str) -> None:
    problem(upload(f"{name}.bin", b"#" * (MAX_FILE_MB * 2**20 + 1)), 413, "too-large")
    success(upload(f"{name}.bin", b"#" * (MAX_FILE_MB * 2**20)))


def test_the_absolute_dag_folder_is_the_dag_folder(upload: Upload, server: Server, name: str) -> None:
    answer = upload("notes.txt", b"x", path=str(server.dags / name))
    assert success(answer)["message"] == f"File [/dags/{name}/notes.txt] has been uploaded"
    assert (server.dags / name / "notes.txt").is_file()


def test_an_allowed_root_takes_files(upload: Upload, server: Server, name: str) -> None:
    shared = server.home / "shared"
    answer = upload("notes.txt", b"x", path=f"{shared}/{name}")
    assert success(answer)["message"] == f"File [/shared/{name}/notes.txt] has been uploaded"
    assert (shared / name / "notes.txt").read_bytes() == b"x"
    problem(upload("notes.txt", b"y", path=f"{shared}/{name}"), 409, "file-exists")
    success(upload("notes.txt", b"y", path=f"{shared}/{name}", force="y"))
    assert (shared / name / "notes.txt").read_bytes() == b"y"
    silent_about(answer, str(server.home))


@pytest.mark.parametrize(
    "place",
    [
        "/",
        "/etc",
        "/tmp",
        "{home}",
        "{home}/logs",
        "{home}/shared2",
        "{home}/dags2",
        "//etc",
        "/proc/self/cwd",
    ],
)
def test_an_absolute_path_elsewhere_is_forbidden(
    upload: Upload, server: Server, name: str, place: str
) -> None:
    folder = place.format(home=server.home)
    problem(upload(f"{name}.txt", b"x", path=folder, force="y"), 403, "forbidden")
    assert not Path(folder, f"{name}.txt").exists()


@pytest.mark.parametrize(
    "place",
    ["..", "../shared", "a/../../shared", "{home}/shared/../logs", "{home}/dags/../logs", "./a", "a/./b"],
)
def test_dots_in_a_path_are_refused(upload: Upload, server: Server, name: str, place: str) -> None:
    answer = upload(f"{name}.txt", b"x", path=place.format(home=server.home), force="y")
    problem(answer, 400, "bad-name")
    assert not list(server.home.rglob(f"{name}.txt"))


def test_a_link_in_an_allowed_root_is_not_followed(
    upload: Upload, server: Server, name: str, tmp_path: Path
) -> None:
    link = server.home / "shared" / name
    link.symlink_to(tmp_path)
    problem(upload("notes.txt", b"x", path=str(link), force="y"), 409, "conflict")
    assert not list(tmp_path.iterdir())
