"""Deploying a DAG file: what lands, what is answered, what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.conftest import MAX_FILE_MB
from contract.server import Server

Deploy = Callable[..., httpx.Response]
TRUE = ["y", "yes", "on", "true", "1", "t", "Y", "YES", "On", "True", "TRUE", "T"]
FALSE = ["n", "no", "off", "false", "0", "f", "N", "No", "OFF", "False", "FALSE", "F"]


def test_a_py_file_lands_byte_for_byte(deploy: Deploy, server: Server, name: str) -> None:
    content = dag_files.dag(name) + "# größer ✓\r\n".encode()
    body = success(deploy(f"{name}.py", content))
    assert (server.dags / f"{name}.py").read_bytes() == content
    assert body["dag_ids"] == [name]
    assert body["files"] == {"added": [f"{name}.py"], "changed": [], "deleted": []}
    assert body["dry_run"] is False
    assert body["import_errors"] == []
    assert body["removed_dag_ids"] == []


def test_a_zip_lands_byte_for_byte(deploy: Deploy, server: Server, name: str) -> None:
    content = dag_files.archive({f"{name}.py": dag_files.dag(name)})
    body = success(deploy(f"{name}.zip", content, otf_sync="y"))
    assert (server.dags / f"{name}.zip").read_bytes() == content
    assert body["dag_ids"] == [name]
    assert body["message"] == f"DAG File [<module '{name}' from '/dags/{name}.zip'>] has been uploaded"


def test_a_file_goes_into_the_folder_that_path_names(deploy: Deploy, server: Server, name: str) -> None:
    body = success(deploy(f"{name}.py", dag_files.dag(name), path=f"{name}/deep/er"))
    assert body["files"]["added"] == [f"{name}/deep/er/{name}.py"]
    assert (server.dags / name / "deep" / "er" / f"{name}.py").is_file()


@pytest.mark.parametrize("spelling", TRUE)
def test_force_replaces_however_true_is_spelled(
    deploy: Deploy, server: Server, name: str, spelling: str
) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name)))
    body = success(deploy(f"{name}.py", dag_files.dag(name, "other"), force=spelling))
    assert body["files"]["changed"] == [f"{name}.py"]
    assert (server.dags / f"{name}.py").read_bytes() == dag_files.dag(name, "other")


@pytest.mark.parametrize("spelling", FALSE)
def test_force_does_not_replace_however_false_is_spelled(
    deploy: Deploy, server: Server, name: str, spelling: str
) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name)))
    answer = deploy(f"{name}.py", dag_files.dag(name, "other"), force=spelling)
    body = problem(answer, 409, "file-exists")
    assert body["existing_file"] == f"{name}.py"
    assert (server.dags / f"{name}.py").read_bytes() == dag_files.dag(name)


@pytest.mark.parametrize("field", ["force", "unpause", "otf_sync", "dry_run"])
@pytest.mark.parametrize("spelling", ["", "maybe", "2", "yess", "null"])
def test_another_word_is_no_boolean(
    deploy: Deploy, server: Server, name: str, field: str, spelling: str
) -> None:
    body = problem(deploy(f"{name}.py", dag_files.dag(name), **{field: spelling}), 400, "bad-request")
    assert field in body["detail"]
    assert not (server.dags / f"{name}.py").exists()


def test_an_unknown_field_is_refused(deploy: Deploy, server: Server, name: str) -> None:
    problem(deploy(f"{name}.py", dag_files.dag(name), forse="y"), 400, "bad-request")
    assert not (server.dags / f"{name}.py").exists()


def test_a_missing_file_is_refused(admin: httpx.Client) -> None:
    body = problem(admin.post("/deploy_dag", data={"force": "y"}, files={}), 415, "media-type-not-supported")
    assert "multipart/form-data" in body["detail"]
    multipart = {"force": (None, "y")}
    assert "dag_file" in problem(admin.post("/deploy_dag", files=multipart), 400, "bad-request")["detail"]


def test_the_file_as_a_text_field_is_refused(admin: httpx.Client, server: Server, name: str) -> None:
    before = server.files()
    answer = admin.post("/deploy_dag", files={"dag_file": (None, dag_files.dag(name))})
    problem(answer, 400, "bad-request")
    assert server.files() == before


def test_two_files_in_one_request_are_refused(admin: httpx.Client, server: Server, name: str) -> None:
    before = server.files()
    both = [("dag_file", (f"{name}_{n}.py", dag_files.dag(f"{name}_{n}"))) for n in (1, 2)]
    problem(admin.post("/deploy_dag", files=both), 400, "bad-request")
    assert server.files() == before


@pytest.mark.parametrize(
    "filename", ["notes.txt", "dag.pyc", "dag.PY", "dag", "dag.py.txt", "dag.tar.gz", "py"]
)
def test_another_file_type_is_refused(deploy: Deploy, server: Server, filename: str) -> None:
    problem(deploy(filename, b"x = 1\n"), 415, "unsupported-type")
    assert not (server.dags / filename).exists()


def test_a_file_over_the_limit_is_refused(deploy: Deploy, server: Server, name: str) -> None:
    padding = b"#" * (MAX_FILE_MB * 1024 * 1024)
    body = problem(deploy(f"{name}.py", dag_files.dag(name) + padding), 413, "too-large")
    assert str(MAX_FILE_MB) in body["detail"]
    assert not (server.dags / f"{name}.py").exists()


def test_a_body_over_the_limit_is_refused_before_it_is_read(
    deploy: Deploy, server: Server, name: str
) -> None:
    padding = b"#" * (20 * MAX_FILE_MB * 1024 * 1024)
    problem(deploy(f"{name}.py", dag_files.dag(name) + padding), 413, "too-large")


def test_a_body_of_unannounced_length_is_cut_off_at_the_limit(server: Server, name: str) -> None:
    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="dag_file"; filename="a.py"\r\n\r\n'
        for _ in range(20 * MAX_FILE_MB):
            yield b"#" * 1024 * 1024

    answer = server.admin.post(
        "/deploy_dag", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    problem(answer, 413, "too-large")


def test_a_text_field_over_one_megabyte_is_refused(admin: httpx.Client, name: str) -> None:
    code = dag_files.dag(name).decode() + "#" * 1024 * 1024
    answer = admin.post("/create_dag", files={"filename": (None, f"{name}.py"), "dag_code": (None, code)})
    body = problem(answer, 413, "too-large")
    assert "deploy_dag" in body["detail"]


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\nnonsense", b"--y--\r\n"])
def test_a_malformed_form_is_refused(admin: httpx.Client, body: bytes) -> None:
    answer = admin.post(
        "/deploy_dag", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    problem(answer, 400, "bad-request")


def test_a_form_without_boundary_is_refused(admin: httpx.Client) -> None:
    answer = admin.post("/deploy_dag", content=b"--x\r\n", headers={"Content-Type": "multipart/form-data"})
    problem(answer, 400, "bad-request")


def test_another_media_type_is_refused(admin: httpx.Client) -> None:
    problem(admin.post("/deploy_dag", json={"dag_file": "x"}), 415, "media-type-not-supported")


def test_import_errors_name_file_line_and_message(deploy: Deploy, server: Server, name: str) -> None:
    answer = deploy(f"{name}.py", b"# airflow dag\n\nraise RuntimeError('no such luck')\n")
    body = problem(answer, 422, "dag-invalid")
    (error,) = body["import_errors"]
    assert error["file"] == f"{name}.py"
    assert error["line"] == 3
    assert "no such luck" in error["message"]
    silent_about(answer, str(server.home), "Traceback", "site-packages", "/xtended/")


def test_a_message_with_the_files_own_path_does_not_tell_where_it_is(
    deploy: Deploy, server: Server, name: str
) -> None:
    answer = deploy(
        f"{name}.py",
        b"# airflow dag\nimport os\nraise RuntimeError(__file__ + os.getcwd() + repr(os.environ))\n",
    )
    problem(answer, 422, "dag-invalid")
    silent_about(answer, str(server.home))


def test_import_errors_inside_a_zip_name_the_member(deploy: Deploy, server: Server, name: str) -> None:
    packed = dag_files.archive({"good.py": dag_files.dag(name), "bad.py": b"# airflow dag\n1/0\n"})
    answer = deploy(f"{name}.zip", packed)
    body = problem(answer, 422, "dag-invalid")
    (error,) = body["import_errors"]
    assert error["file"].startswith(f"{name}.zip")
    assert "division by zero" in error["message"]
    silent_about(answer, str(server.home))
    assert not (server.dags / f"{name}.zip").exists()


def test_a_broken_file_never_replaces_a_good_one(deploy: Deploy, server: Server, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    files, database = server.files(), server.database()
    problem(deploy(f"{name}.py", b"def broken(:\n", force="y", otf_sync="y"), 422, "dag-invalid")
    assert server.files() == files
    assert server.database() == database


def _sparse(size: int) -> bytes:
    """Bytes that pack to about a quarter."""
    return b"".join(os.urandom(14) + bytes(50) for _ in range(size // 64))


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [
        pytest.param(b"this is no zip", 400, "bad-archive", id="text"),
        pytest.param(b"PK\x03\x04" + bytes(40), 400, "bad-archive", id="cut"),
        pytest.param(b"", 400, "bad-archive", id="empty"),
        pytest.param(dag_files.archive({"../up.py": b""}), 400, "bad-archive", id="dots"),
        pytest.param(dag_files.archive({"/tmp/abs.py": b""}), 400, "bad-archive", id="absolute"),
        pytest.param(dag_files.archive({"a\\b.py": b""}), 400, "bad-archive", id="backslash"),
        pytest.param(dag_files.archive({f"{n}.py": b"" for n in range(51)}), 413, "too-large", id="members"),
        pytest.param(dag_files.archive({"x.py": bytes(7 * 2**20)}), 413, "too-large", id="ratio"),
        pytest.param(dag_files.archive({"x.py": _sparse(9 * 2**20)}), 413, "too-large", id="size"),
    ],
)
def test_a_bad_archive_is_refused_before_anything_is_written(
    deploy: Deploy, server: Server, name: str, content: bytes, status: int, kind: str
) -> None:
    before = server.files()
    problem(deploy(f"{name}.zip", content), status, kind)
    assert server.files() == before


def test_a_dry_run_of_a_new_file_changes_nothing(deploy: Deploy, server: Server, name: str) -> None:
    files, database = server.files(), server.database()
    body = success(deploy(f"{name}.py", dag_files.dag(name), dry_run="y", otf_sync="y", unpause="y"))
    assert body["dry_run"] is True
    assert body["dag_ids"] == [name]
    assert body["dags"] == [{"dag_id": name, "live": False, "paused": None}]
    assert body["files"]["added"] == [f"{name}.py"]
    assert body["message"] == f"DAG File [<module '{name}' from '/dags/{name}.py'>] would be uploaded"
    assert server.files() == files
    assert server.database() == database


def test_a_dry_run_of_a_replacement_changes_nothing(deploy: Deploy, server: Server, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.many(name, f"{name}_gone"), otf_sync="y"))
    files, database = server.files(), server.database()
    content = dag_files.dag(name, "b")
    body = success(deploy(f"{name}.py", content, dry_run="on", force="on", otf_sync="on", path=""))
    assert body["files"]["changed"] == [f"{name}.py"]
    assert body["removed_dag_ids"] == [f"{name}_gone"]
    assert server.files() == files
    assert server.database() == database


def test_a_dry_run_is_refused_as_the_deploy_would_be(deploy: Deploy, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name)))
    problem(deploy(f"{name}.py", dag_files.dag(name), dry_run="y"), 409, "file-exists")
    problem(deploy(f"{name}_b.py", b"1/0\n", dry_run="y"), 422, "dag-invalid")


def test_a_dag_defined_elsewhere_needs_force(deploy: Deploy, server: Server, name: str) -> None:
    success(deploy(f"{name}_a.py", dag_files.dag(name), otf_sync="y"))
    body = problem(deploy(f"{name}_b.py", dag_files.dag(name)), 409, "dag-defined-elsewhere")
    assert body["dag_ids"] == [name]
    assert body["existing_file"] == f"{name}_a.py"
    assert not (server.dags / f"{name}_b.py").exists()
    success(deploy(f"{name}_b.py", dag_files.dag(name, "taken"), force="y", otf_sync="y"))
    assert server.airflow.tasks(name) == {"taken"}


def test_a_taskflow_file_deploys(deploy: Deploy, server: Server, name: str) -> None:
    body = success(deploy(f"{name}.py", dag_files.taskflow(name), otf_sync="y"))
    assert body["dag_ids"] == [name]
    assert server.airflow.tasks(name) == {"extract", "load"}


def test_many_dags_in_one_file_deploy(deploy: Deploy, server: Server, name: str) -> None:
    ids = [f"{name}_{n}" for n in range(5)]
    body = success(deploy(f"{name}.py", dag_files.many(*ids), otf_sync="y"))
    assert body["dag_ids"] == ids
    assert [dag["live"] for dag in body["dags"]] == [True] * 5
    for dag_id in ids:
        assert server.airflow.dag(dag_id)


def test_dynamically_defined_dags_deploy(deploy: Deploy, server: Server, name: str) -> None:
    ids = [f"{name}_{n}" for n in range(3)]
    body = success(deploy(f"{name}.py", dag_files.dynamic(*ids), otf_sync="y"))
    assert body["dag_ids"] == ids


def test_a_file_without_a_dag_is_refused(deploy: Deploy, server: Server, name: str) -> None:
    body = problem(deploy(f"{name}.py", b"ANSWER = 42\n"), 422, "dag-invalid")
    assert "upload_file" in body["detail"]
    assert [error["file"] for error in body["import_errors"]] == [f"{name}.py"]
    assert not (server.dags / f"{name}.py").exists()


def test_a_file_may_import_its_sibling(deploy: Deploy, admin: httpx.Client, name: str) -> None:
    helper = admin.post(
        "/upload_file", files={"file": (f"{name}_helper.py", f"DAG_ID = {name!r}\n".encode())}
    )
    success(helper)
    content = dag_files.dag("placeholder").replace(b"'placeholder'", f"{name}_helper.DAG_ID".encode())
    body = success(deploy(f"{name}.py", f"import {name}_helper\n".encode() + content, otf_sync="y"))
    assert body["dag_ids"] == [name]


def test_a_file_in_a_zip_may_import_a_module_of_the_zip(deploy: Deploy, name: str) -> None:
    content = dag_files.dag("placeholder", before=f"import {name}_inner").replace(
        b"'placeholder'", f"{name}_inner.DAG_ID".encode()
    )
    members = {"the_dag.py": content, f"{name}_inner.py": f"DAG_ID = {name!r}\n".encode()}
    assert success(deploy(f"{name}.zip", dag_files.archive(members), otf_sync="y"))["dag_ids"] == [name]


def test_a_replacement_takes_away_the_dags_that_it_no_longer_defines(
    deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.many(name, f"{name}_gone"), otf_sync="y"))
    body = success(deploy(f"{name}.py", dag_files.dag(name), force="y", otf_sync="y"))
    assert body["removed_dag_ids"] == [f"{name}_gone"]
    gone = server.airflow.dag(f"{name}_gone")
    assert gone is None or gone.stale


def test_a_deploy_of_the_same_bytes_with_force_is_a_success(
    deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name)))
    body = success(deploy(f"{name}.py", dag_files.dag(name), force="y", otf_sync="y"))
    assert body["files"] == {"added": [], "changed": [], "deleted": []}
    assert body["dags"] == [{"dag_id": name, "live": True, "paused": True}]


def test_a_file_that_lies_on_disk_but_not_in_the_database_is_protected(
    deploy: Deploy, server: Server, name: str
) -> None:
    (server.dags / f"{name}.py").write_bytes(b"# by hand\n")
    problem(deploy(f"{name}.py", dag_files.dag(name)), 409, "file-exists")
    assert (server.dags / f"{name}.py").read_bytes() == b"# by hand\n"


def test_a_symbolic_link_is_neither_followed_nor_replaced(
    deploy: Deploy, server: Server, name: str, tmp_path
) -> None:
    outside = tmp_path / "outside.py"
    outside.write_bytes(b"# outside\n")
    (server.dags / f"{name}.py").symlink_to(outside)
    (server.dags / f"{name}_folder").symlink_to(tmp_path)
    try:
        problem(deploy(f"{name}.py", dag_files.dag(name), force="y"), 409, "conflict")
        answer = deploy(f"{name}_in.py", dag_files.dag(name), path=f"{name}_folder", force="y")
        problem(answer, 409, "conflict")
        assert outside.read_bytes() == b"# outside\n"
        assert [path.name for path in tmp_path.iterdir()] == ["outside.py"]
    finally:
        (server.dags / f"{name}.py").unlink()
        (server.dags / f"{name}_folder").unlink()
