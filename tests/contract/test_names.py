"""No name that a client gives, in whatever field, reaches a place outside the DAG folder."""

from __future__ import annotations

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, success
from contract.file_server import FileServer
from contract.server import Server

BAD = [
    pytest.param("../escaped.py", id="dots"),
    pytest.param("a/../../escaped.py", id="dots-below"),
    pytest.param("a/../escaped.py", id="dots-that-stay"),
    pytest.param("./escaped.py", id="dot"),
    pytest.param("/escaped.py", id="absolute"),
    pytest.param("//escaped.py", id="two-slashes"),
    pytest.param("a//escaped.py", id="empty-part"),
    pytest.param("..\\escaped.py", id="backslash"),
    pytest.param("C:escaped.py", id="drive"),
    pytest.param("C:\\escaped.py", id="drive-backslash"),
    pytest.param(".escaped.py", id="hidden"),
    pytest.param(".git/escaped.py", id="hidden-folder"),
    pytest.param("a/.escaped.py", id="hidden-below"),
    pytest.param("__pycache__/escaped.py", id="cache"),
    pytest.param("escaped\x00.py", id="nul"),
    pytest.param("escaped\n.py", id="line-feed"),
    pytest.param("escaped\x1b[2J.py", id="escape-sequence"),
    pytest.param("escaped\u202eyp.py", id="right-to-left"),
    pytest.param("escaped\u200b.py", id="zero-width"),
    pytest.param("a ./escaped.py", id="trailing-dot"),
    pytest.param("a /escaped.py", id="trailing-space"),
    pytest.param("e" * 253 + ".py", id="long-part"),
    pytest.param("a/" * 600 + "escaped.py", id="long-path"),
]


@pytest.mark.parametrize("bad", BAD)
def test_create_dag_refuses_it(admin: httpx.Client, server: Server, name: str, bad: str) -> None:
    fields = {"filename": (None, bad), "dag_code": (None, dag_files.dag(name)), "force": (None, "y")}
    before = server.files()
    problem(admin.post("/create_dag", files=fields), 400, "bad-name")
    assert server.files() == before
    assert not list(server.home.rglob("*escaped*"))


@pytest.mark.parametrize("bad", BAD)
def test_validate_dag_refuses_it(admin: httpx.Client, name: str, bad: str) -> None:
    fields = {"filename": (None, bad), "dag_code": (None, dag_files.dag(name))}
    problem(admin.post("/validate_dag", files=fields), 400, "bad-name")


@pytest.mark.parametrize("bad", BAD)
def test_deploy_dag_from_url_refuses_it(
    admin: httpx.Client, server: Server, file_server: FileServer, name: str, bad: str
) -> None:
    query = {"dag_file_url": file_server.serve(dag_files.dag(name)), "filename": bad, "force": "y"}
    problem(admin.get("/deploy_dag", params=query), 400, "bad-name")
    assert file_server.asked == []
    assert not list(server.home.rglob("*escaped*"))


@pytest.mark.parametrize("bad", BAD)
def test_delete_dag_refuses_it(admin: httpx.Client, server: Server, bad: str) -> None:
    (server.home / "escaped.py").write_text("precious\n")
    try:
        problem(admin.delete("/delete_dag", params={"filename": bad, "force": "y"}), 400, "bad-name")
        assert (server.home / "escaped.py").read_text() == "precious\n"
    finally:
        (server.home / "escaped.py").unlink()


def _raw_form(field: str, filename: bytes, content: bytes) -> tuple[bytes, dict[str, str]]:
    """A form whose file name is exactly these bytes: a client library would make it harmless."""
    disposition = b'form-data; name="%s"; filename="%s"' % (field.encode(), filename)
    body = b"--x\r\nContent-Disposition: %s\r\n\r\n%s\r\n--x--\r\n" % (disposition, content)
    return body, {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(("path", "field"), [("/deploy_dag", "dag_file"), ("/upload_file", "file")])
@pytest.mark.parametrize(
    "filename",
    [
        b"../escaped.py",
        b"/escaped.py",
        b"a/../../escaped.py",
        b"..\\\\escaped.py",
        b".escaped.py",
        b"%2e%2e/../escaped.py",
        b"escaped\x00.py",
        b"escaped\x7f.py",
        b"",
        b".",
        b"..",
    ],
)
def test_the_name_of_an_uploaded_file_is_held_to_the_same_rule(
    admin: httpx.Client, server: Server, name: str, path: str, field: str, filename: bytes
) -> None:
    body, headers = _raw_form(field, filename, dag_files.dag(name))
    before = server.files()
    answer = admin.post(path, content=body, headers=headers)
    assert answer.status_code in (400, 415), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert server.files() == before
    assert not list(server.home.rglob("*escaped*"))


@pytest.mark.parametrize("member", [*(each.values[0] for each in BAD[:4]), "/escaped.py", "..\\escaped.py"])
def test_the_members_of_a_zip_are_held_to_the_same_rule(
    admin: httpx.Client, server: Server, name: str, member: str
) -> None:
    packed = dag_files.archive({"main.py": dag_files.dag(name), member: b"x = 1\n"})
    answer = admin.post("/deploy_dag", files={"dag_file": (f"{name}.zip", packed)})
    assert answer.status_code == 400, answer.text
    assert not list(server.home.rglob("*escaped*"))
    assert not (server.dags / f"{name}.zip").exists()


@pytest.mark.parametrize(
    "stem", ["größe", "日本語", "with space", "quote'd", "a&b=c%20d", "semi;colon", "ünï_dag"]
)
def test_an_unusual_but_honest_name_is_taken(
    admin: httpx.Client, server: Server, name: str, stem: str
) -> None:
    filename = f"{name}_{stem}.py"
    body, headers = _raw_form("dag_file", filename.encode(), dag_files.dag(name))
    assert success(admin.post("/deploy_dag", content=body, headers=headers))["files"]["added"] == [filename]
    assert (server.dags / filename).is_file()
    success(admin.delete("/delete_dag", params={"filename": filename}))
    assert not (server.dags / filename).exists()
