"""Files behind a URL: fetched from where that is allowed, and only if they are what was asked for."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from contract import checks, dag_files
from contract.file_server import FileServer
from contract.server import Server, unchanged


def fetch(admin: httpx.Client, url: str, filename: str, **fields: str) -> httpx.Response:
    sent: dict[str, Any] = {"dag_file_url": (None, url), "filename": (None, filename)}
    sent |= {key: (None, value) for key, value in fields.items()}
    return admin.post("/deploy_dag_from_url", files=sent)


def test_a_file_behind_a_url_is_live(
    server: Server, admin: httpx.Client, file_server: FileServer, name: str
) -> None:
    content = dag_files.dag(name)
    digest = hashlib.sha256(content).hexdigest()
    url = file_server.serve(content)
    checks.success(fetch(admin, url, f"{name}.py", sha256=digest.upper(), otf_sync="y"))
    assert server.airflow.trigger(name)


def test_other_bytes_than_those_asked_for_are_refused(
    server: Server, admin: httpx.Client, file_server: FileServer, name: str
) -> None:
    url = file_server.serve(dag_files.dag(name))
    with unchanged(server):
        checks.problem(fetch(admin, url, f"{name}.py", sha256="0" * 64), 422, "checksum-mismatch")
        checks.problem(fetch(admin, url, f"{name}.py", sha256="abc"), 400, "bad-request")


def test_a_pyc_is_stored_and_never_loaded(
    server: Server, admin: httpx.Client, file_server: FileServer, name: str
) -> None:
    url = file_server.serve(b"\x00 certainly not bytecode")
    body = checks.success(fetch(admin, url, f"{name}.pyc", otf_sync="y"))
    assert body["dag_ids"] == []
    assert (server.dags / f"{name}.pyc").read_bytes() == b"\x00 certainly not bytecode"


def test_a_failing_source_is_a_502_and_changes_nothing(
    server: Server, admin: httpx.Client, file_server: FileServer, name: str
) -> None:
    pages = [
        file_server.url + "/not-there",
        file_server.serve(dag_files.dag(name), status=500),
        file_server.serve(b"<!doctype html><html>log in</html>", content_type="text/html"),
        "http://127.0.0.1:1/nobody-listens",
    ]
    with unchanged(server):
        for url in pages:
            checks.problem(fetch(admin, url, f"{name}.py"), 502, "source-failed")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2/x.py",
        "http://[::1]/x.py",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x.py",
        "http://192.168.0.1/x.py",
        "http://0.0.0.0/x.py",
        "http://2130706434/x.py",
        "http://[::ffff:127.0.0.2]/x.py",
    ],
)
def test_an_address_that_is_not_public_is_refused(
    server: Server, admin: httpx.Client, name: str, url: str
) -> None:
    with unchanged(server):
        checks.problem(fetch(admin, url, f"{name}.py"), 403, "outbound-refused")


def test_a_redirect_to_such_an_address_is_refused_too(
    server: Server, admin: httpx.Client, file_server: FileServer, name: str
) -> None:
    url = file_server.serve(b"", status=302, location="http://169.254.169.254/latest/meta-data")
    with unchanged(server):
        checks.problem(fetch(admin, url, f"{name}.py"), 403, "outbound-refused")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x.py", "gopher://x", "not a url", "//x/y"]
)
def test_only_http_is_fetched(server: Server, admin: httpx.Client, name: str, url: str) -> None:
    with unchanged(server):
        checks.problem(fetch(admin, url, f"{name}.py"), 400, "bad-request")


def test_a_file_over_the_cap_is_not_fetched(
    server: Server, admin: httpx.Client, file_server: FileServer, name: str
) -> None:
    url = file_server.serve(dag_files.dag(name) + b"#" * (4 * 2**20))
    with unchanged(server):
        checks.problem(fetch(admin, url, f"{name}.py"), 413, "too-large")


def test_credentials_of_a_url_stay_out_of_answers_log_and_audit(
    server: Server, admin: httpx.Client, file_server: FileServer, name: str
) -> None:
    secret = f"s3cret-{name}"
    good = file_server.serve(dag_files.dag(name)).replace("http://", f"http://someone:{secret}@")
    bad = (file_server.url + f"/not-there?token={secret}").replace("http://", f"http://someone:{secret}@")
    checks.silent_about(fetch(admin, good, f"{name}.py", otf_sync="y"), secret)
    checks.silent_about(fetch(admin, bad, f"{name}.py", force="y"), secret)
    assert secret not in server.log()
    assert not [line for line in server.airflow.audit() if secret in line.extra]
