"""deploy_archive: the files of a zip land as one change, or none of them does."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, success
from contract.server import Server
from contract.test_dag_rights import MINE, THEIRS, forbidden

Send = Callable[..., httpx.Response]


@pytest.fixture
def send(admin: httpx.Client) -> Send:
    """POST deploy_archive as admin: the members of the zip, and fields."""

    def post(members: dict[str, bytes], **fields: str) -> httpx.Response:
        archive = dag_files.archive(members)
        return admin.post("/deploy_archive", files={"archive": ("files.zip", archive)}, data=fields)

    return post


def test_dag_files_modules_and_data_land_together_as_one_revision(
    send: Send, server: Server, name: str
) -> None:
    before = server.admin.get("/revisions", params={"limit": 1}).json()["revisions"]
    sent = {
        "one.py": dag_files.dag(f"{name}_one", before=f"from {name}.shared import ANSWER"),
        "sub/two.py": dag_files.dag(f"{name}_two"),
        "shared.py": b"ANSWER = 42\n",
        "__init__.py": b"",
        "query.sql": b"SELECT 1\n",
    }
    body = success(send(sent, path=name, otf_sync="y", unpause="y", message="All of the team's"))
    assert body["message"] == f"5 file(s) have been deployed to [/dags/{name}]"
    assert body["files"]["added"] == sorted(f"{name}/{path}" for path in sent)
    assert body["dag_ids"] == [f"{name}_one", f"{name}_two"]
    assert all(dag["live"] and not dag["paused"] for dag in body["dags"])
    for path, content in sent.items():
        assert (server.dags / name / path).read_bytes() == content
    (newest,) = server.admin.get("/revisions", params={"limit": 1}).json()["revisions"]
    assert newest["id"] == body["revision"]
    assert newest["parent"] == (before[0]["id"] if before else None)
    assert newest["files"]["added"] == body["files"]["added"]


def test_one_bad_file_keeps_all_of_them_out(send: Send, server: Server, name: str) -> None:
    before = server.files()
    sent = {"good.py": dag_files.dag(name), "bad.py": b"# airflow dag\n\n1/0\n", "notes.txt": b"x"}
    body = problem(send(sent, path=name), 422, "dag-invalid")
    assert [(error["file"], error["line"]) for error in body["import_errors"]] == [(f"{name}/bad.py", 3)]
    assert server.files() == before


def test_two_files_of_one_dag_keep_all_of_them_out(send: Send, server: Server, name: str) -> None:
    before = server.files()
    sent = {"a.py": dag_files.dag(name), "b.py": dag_files.dag(name)}
    problem(send(sent, path=name), 409, "dag-defined-elsewhere")
    assert server.files() == before


def test_a_file_that_exists_needs_force(send: Send, server: Server, name: str) -> None:
    success(send({"a.txt": b"1"}, path=name))
    before = server.files()
    body = problem(send({"a.txt": b"2", "b.txt": b"2"}, path=name), 409, "file-exists")
    assert body["existing_file"] == f"{name}/a.txt"
    assert server.files() == before
    body = success(send({"a.txt": b"2", "b.txt": b"2"}, path=f"{name}/", force="y"))
    assert (body["files"]["added"], body["files"]["changed"]) == ([f"{name}/b.txt"], [f"{name}/a.txt"])


def test_what_the_archive_lacks_is_deleted_below_the_folder_alone_and_can_be_rolled_back(
    send: Send, server: Server, name: str
) -> None:
    success(send({"a.py": dag_files.dag(name), "gone.txt": b"x"}, path=name, otf_sync="y"))
    success(send({"neighbour.txt": b"x"}, path=f"{name}_too"))
    before = server.files()
    body = success(
        send({"b.py": dag_files.dag(f"{name}_b")}, path=name, delete_missing="y", otf_sync="y", dry_run="y")
    )
    assert body["files"]["deleted"] == [f"{name}/a.py", f"{name}/gone.txt"]
    assert server.files() == before
    body = success(send({"b.py": dag_files.dag(f"{name}_b")}, path=name, delete_missing="y", otf_sync="y"))
    assert body["files"]["deleted"] == [f"{name}/a.py", f"{name}/gone.txt"]
    assert body["removed_dag_ids"] == [name]
    assert (server.dags / f"{name}_too" / "neighbour.txt").exists()
    parent = server.admin.get(f"/revisions/{body['revision']}").json()["revision"]["parent"]
    success(server.admin.post("/rollback", params={"revision": parent, "path": name}))
    assert server.files() == before


def test_an_archive_without_files_deletes_nothing(send: Send, server: Server, name: str) -> None:
    success(send({"a.txt": b"x"}, path=name))
    before = server.files()
    problem(send({"folder/": b""}, path=name, delete_missing="y"), 400, "bad-archive")
    assert server.files() == before


def _link() -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        info = zipfile.ZipInfo("link.py")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return packed.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        *(
            dag_files.archive({member: b"x"})
            for member in ("../up.py", "/etc/x.py", "a/../../x.py", ".hidden.py", "a\\b.py", "C:/x.py")
        ),
        _link(),
        b"PK\x03\x04 and nothing more",
        b"no zip at all",
    ],
)
def test_names_and_archives_that_are_not_files_of_the_folder_are_refused(
    admin: httpx.Client, server: Server, archive: bytes
) -> None:
    before = server.files()
    problem(admin.post("/deploy_archive", files={"archive": ("a.zip", archive)}), 400, "bad-archive")
    assert server.files() == before


@pytest.mark.parametrize("path", ["../up", "/etc", ".hidden", "a//b"])
def test_the_folder_is_below_the_dag_folder(send: Send, server: Server, path: str) -> None:
    before = server.files()
    for options in ({}, {"delete_missing": "y"}):
        problem(send({"a.txt": b"x"}, path=path, **options), 400, "bad-name")
    assert server.files() == before


def test_a_zip_within_is_checked_as_well(send: Send, server: Server, name: str) -> None:
    before = server.files()
    problem(send({"a.zip": b"no zip at all"}, path=name), 400, "bad-archive")
    assert server.files() == before
    success(send({"a.zip": dag_files.archive({"dag.py": dag_files.dag(name)})}, path=name))


def test_another_file_type_is_refused(admin: httpx.Client, server: Server) -> None:
    before = server.files()
    problem(admin.post("/deploy_archive", files={"archive": ("a.tar", b"x")}), 415, "unsupported-type")
    assert server.files() == before


@pytest.fixture
def owned(fab: Server) -> Iterator[Server]:
    """A server on which a user may edit and delete one DAG of two."""
    for dag_id in (MINE, THEIRS):
        sent = {"dag_file": (f"{dag_id}.py", dag_files.dag(dag_id))}
        success(fab.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y", "force": "y"}))
    rights = [("can_read", f"DAG:{MINE}"), ("can_edit", f"DAG:{MINE}"), ("can_delete", f"DAG:{MINE}")]
    fab.add_user("packer", "packer", rights)
    yield fab
    for dag_id in (MINE, THEIRS):
        sent = {"dag_file": (f"{dag_id}.py", dag_files.dag(dag_id))}
        success(fab.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y", "force": "y"}))


def test_the_right_on_each_dag_is_asked_for(owned: Server) -> None:
    packer = owned.client("packer")

    def post(members: dict[str, bytes], **fields: str) -> httpx.Response:
        sent = {"archive": ("files.zip", dag_files.archive(members))}
        return packer.post("/deploy_archive", files=sent, data={"force": "y", **fields})

    before = owned.files()
    forbidden(post({"mine.py": dag_files.dag(MINE), "x.py": dag_files.dag(THEIRS)}), "PUT", THEIRS)
    forbidden(post({"theirs.py": dag_files.dag(MINE)}), "PUT", THEIRS)
    problem(post({"mine.py": dag_files.dag(MINE), "notes.txt": b"x"}), 403, "forbidden")
    body = problem(post({"mine.py": dag_files.dag(MINE)}, delete_missing="y"), 403, "forbidden")
    assert body["missing_right"] == "DELETE"
    assert owned.files() == before
    success(post({"mine.py": dag_files.dag(MINE, "new")}))
