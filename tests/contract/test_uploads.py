"""Files of any type go below the allowed folders, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contract import checks, dag_files
from contract.server import Server
from contract.test_refusals import unchanged


@pytest.fixture
def upload(admin: httpx.Client) -> Callable[..., httpx.Response]:
    def send(filename: str, content: bytes, **fields: str) -> httpx.Response:
        sent: dict[str, Any] = {"file": (filename, content)}
        return admin.post("/upload_file", files=sent | {key: (None, each) for key, each in fields.items()})

    return send


Upload = Callable[..., httpx.Response]


def test_any_type_goes_below_the_dag_folder(server: Server, upload: Upload, name: str) -> None:
    for suffix in ("txt", "sql", "yaml", "bin", "whl"):
        body = checks.success(upload(f"{name}.{suffix}", b"\x00data", path="config/deep"))
        assert body["message"] == f"File [/dags/config/deep/{name}.{suffix}] has been uploaded"
        assert (server.dags / f"config/deep/{name}.{suffix}").read_bytes() == b"\x00data"


def test_an_absolute_path_below_an_allowed_root_is_taken(server: Server, upload: Upload, name: str) -> None:
    shared = server.home / "shared"
    body = checks.success(upload(f"{name}.txt", b"x", path=f"{shared}/here"))
    assert body["message"] == f"File [/shared/here/{name}.txt] has been uploaded"
    assert (shared / "here" / f"{name}.txt").read_bytes() == b"x"
    checks.problem(upload(f"{name}.txt", b"y", path=f"{shared}/here"), 409, "file-exists")
    checks.success(upload(f"{name}.txt", b"y", path=f"{shared}/here", force="y"))
    checks.success(upload(f"{name}.txt", b"z", path=str(server.dags)))
    assert (server.dags / f"{name}.txt").read_bytes() == b"z"


@pytest.mark.parametrize("path", ["/etc", "/", "/tmp", "{shared}/../logs", "{shared}-not", "{home}"])
def test_an_absolute_path_elsewhere_is_refused(server: Server, upload: Upload, name: str, path: str) -> None:
    where = path.format(shared=server.home / "shared", home=server.home)
    with unchanged(server):
        answer = upload(f"{name}.txt", b"x", path=where, force="y")
        assert answer.status_code in (400, 403), answer.text
    assert not list(server.home.rglob(f"{name}.txt"))


@pytest.mark.parametrize("filename", ["../x.txt", "a/../../x.txt", ".bashrc", "a\\b.txt"])
def test_a_name_that_climbs_or_hides_is_a_400(server: Server, upload: Upload, filename: str) -> None:
    with unchanged(server):
        assert upload(filename, b"x", force="y").status_code == 400


def test_an_existing_file_is_a_409_without_force(server: Server, upload: Upload, name: str) -> None:
    checks.success(upload(f"{name}.txt", b"one"))
    with unchanged(server):
        body = checks.problem(upload(f"{name}.txt", b"two"), 409, "file-exists")
        assert body["existing_file"] == f"{name}.txt"
    checks.success(upload(f"{name}.txt", b"two", force="y"))


def test_a_python_file_that_does_not_load_is_not_stored(server: Server, upload: Upload, name: str) -> None:
    with unchanged(server):
        checks.problem(upload(f"{name}.py", b"import airflow  # dag\n1/0\n"), 422, "dag-invalid")
    checks.success(upload(f"{name}.py", b"VALUE = 1\n"))


def test_an_uploaded_dag_is_a_dag(upload: Upload, name: str) -> None:
    assert checks.success(upload(f"{name}.py", dag_files.dag(name)))["dag_ids"] == [name]
