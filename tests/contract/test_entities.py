"""Variables, Connections and Pools: set, read, masked and deleted, by Airflow's own right on each."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from contract.checks import problem, silent_about, success
from contract.conftest import TOKEN
from contract.server import Server, unchanged

SECRET = "s3cret-value-0815"
LISTS = ("variables", "connections", "pools")


def put(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return send(client, "PUT", path, **fields)


def send(client: httpx.Client, method: str, path: str, **fields: str) -> httpx.Response:
    return client.request(method, path, files={name: (None, text) for name, text in fields.items()})


def test_a_variable_is_set_changed_read_and_deleted(admin: httpx.Client, name: str) -> None:
    assert success(put(admin, f"/variables/{name}", value='{"a": 1}', description="why"))["created"]
    assert not success(put(admin, f"/variables/{name}", value='{"a": 2}'))["created"]
    found = success(admin.get(f"/variables/{name}", params={"deserialize": "y"}))
    assert (found["value"], found["data"], found["description"]) == ('{"a": 2}', {"a": 2}, "why")
    assert name in success(admin.get("/variables"))["message"].splitlines()
    success(admin.delete(f"/variables/{name}"))
    problem(admin.get(f"/variables/{name}"), 404, "not-found")
    assert success(admin.get(f"/variables/{name}", params={"default": "7"}))["value"] == "7"


def test_a_key_may_have_slashes(admin: httpx.Client, name: str) -> None:
    success(put(admin, f"/variables/{name}/a b/ü", value="x"))
    assert success(admin.get(f"/variables/{name}/a b/ü"))["key"] == f"{name}/a b/ü"


def test_airflow_s_own_api_sees_the_variable(server: Server, name: str) -> None:
    success(put(server.admin, f"/variables/{name}", value="seen"))
    assert any(row["key"] == name for row in server.database()["variable"])


def test_a_hidden_variable_is_masked_and_never_exported(admin: httpx.Client, name: str) -> None:
    key = f"{name}_password"
    silent_about(put(admin, f"/variables/{key}", value=SECRET), SECRET)
    success(put(admin, f"/variables/{name}", value="open"))
    for answer in (admin.get(f"/variables/{key}"), admin.get("/variables"), admin.get("/export_variables")):
        success(answer)
        silent_about(answer, SECRET)
    exported = success(admin.get("/export_variables"))
    assert exported["variables"][name] == "open"
    assert key in exported["left_out"]


def test_an_import_sets_all_or_none(server: Server, name: str) -> None:
    sent = {"file": ("variables.json", f'{{"{name}1": "x", "{name}2": [1, 2]}}'.encode())}
    assert success(server.admin.post("/import_variables", files=sent))["keys"] == [f"{name}1", f"{name}2"]
    assert success(server.admin.get(f"/variables/{name}2"))["value"] == "[1, 2]"
    with unchanged(server):
        for text in ('{"fine": "x", "": "y"}', "[1]", "no json"):
            answer = server.admin.post("/import_variables", files={"variables": (None, text)})
            problem(answer, 400, "bad-request")


def test_a_connection_is_set_by_its_parts_or_its_uri(admin: httpx.Client, name: str) -> None:
    uri = f"postgresql://me:{SECRET}@db.example.com:5432/sales?sslmode=require"
    answer = put(admin, f"/connections/{name}", uri=uri)
    assert success(answer)["created"]
    silent_about(answer, SECRET)
    found = success(admin.get(f"/connections/{name}"))
    assert (found["conn_type"], found["host"], found["port"]) == ("postgres", "db.example.com", 5432)
    assert (found["login"], found["password"], found["schema"]) == ("me", "***", "sales")
    parts = {"conn_type": "http", "host": "h", "extra": f'{{"api_key": "{SECRET}", "timeout": 5}}'}
    assert not success(put(admin, f"/connections/{name}", **parts))["created"]
    found = success(admin.get(f"/connections/{name}"))
    assert (found["conn_type"], found["password"], found["port"]) == ("http", None, None)
    assert '"timeout": 5' in found["extra"]
    silent_about(admin.get("/connections"), SECRET)
    success(admin.delete(f"/connections/{name}"))
    problem(admin.get(f"/connections/{name}"), 404, "not-found")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"host": "h"},
        {"uri": "http://h", "conn_type": "http"},
        {"uri": "http://h", "host": "h"},
        {"uri": f"http://me:{SECRET}@h:port/"},
        {"uri": SECRET},
        {"conn_type": "http", "extra": f"[{SECRET}"},
        {"conn_type": "http", "port": "99999"},
    ],
)
def test_what_makes_no_connection_is_refused_without_repeating_it(
    server: Server, name: str, fields: dict[str, str]
) -> None:
    with unchanged(server):
        sent: Any = {key: (None, text) for key, text in fields.items()} or {"description": (None, "x")}
        answer = server.admin.put(f"/connections/{name}", files=sent)
        problem(answer, 400, "bad-request")
        silent_about(answer, SECRET)


@pytest.mark.parametrize("conn_id", ["a b", "þorn", "a;b", "<b>", "x" * 251])
def test_an_id_that_airflow_would_not_keep_is_refused(server: Server, conn_id: str) -> None:
    with unchanged(server):
        for method in ("PUT", "POST"):
            answer = server.admin.request(
                method, f"/connections/{quote(conn_id)}", files={"conn_type": (None, "http")}
            )
            problem(answer, 400, "bad-request")


def test_a_pool_is_set_read_and_deleted(admin: httpx.Client, name: str) -> None:
    assert success(put(admin, f"/pools/{name}", slots="3", description="three"))["created"]
    assert not success(put(admin, f"/pools/{name}", slots="4"))["created"]
    found = success(admin.get(f"/pools/{name}"))
    assert (found["slots"], found["include_deferred"]) == (4, False)
    success(admin.delete(f"/pools/{name}"))
    problem(admin.delete(f"/pools/{name}"), 404, "not-found")
    problem(admin.delete("/pools/default_pool"), 409, "conflict")


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("variables", {"value": "first"}, {"value": "second"}),
        ("connections", {"conn_type": "http", "host": "first"}, {"conn_type": "http", "host": "second"}),
        ("pools", {"slots": "1"}, {"slots": "2"}),
    ],
)
def test_what_is_there_is_not_created_again(
    admin: httpx.Client, name: str, kind: str, first: dict[str, str], second: dict[str, str]
) -> None:
    assert success(send(admin, "POST", f"/{kind}/{name}", **first))["created"]
    before = success(admin.get(f"/{kind}/{name}"))
    problem(send(admin, "POST", f"/{kind}/{name}", **second), 409, "conflict")
    assert success(admin.get(f"/{kind}/{name}")) == before


@pytest.mark.parametrize(
    ("kind", "whole", "part", "changed"),
    [
        (
            "variables",
            {"value": "first", "description": "why"},
            {"value": "second"},
            {"value": "second", "description": "why"},
        ),
        (
            "variables",
            {"value": "x", "description": "why"},
            {"description": ""},
            {"value": "x", "description": None},
        ),
        (
            "connections",
            {"conn_type": "http", "host": "h", "login": "me", "port": "80"},
            {"host": "other", "login": ""},
            {"conn_type": "http", "host": "other", "login": None, "port": 80},
        ),
        (
            "pools",
            {"slots": "3", "description": "three"},
            {"slots": "4"},
            {"slots": 4, "description": "three"},
        ),
    ],
)
def test_a_part_is_changed_and_the_others_stay(
    admin: httpx.Client,
    name: str,
    kind: str,
    whole: dict[str, str],
    part: dict[str, str],
    changed: dict[str, object],
) -> None:
    problem(send(admin, "PATCH", f"/{kind}/{name}", **part), 404, "not-found")
    success(put(admin, f"/{kind}/{name}", **whole))
    assert not success(send(admin, "PATCH", f"/{kind}/{name}", **part))["created"]
    found = success(admin.get(f"/{kind}/{name}"))
    assert {key: found[key] for key in changed} == changed
    success(admin.delete(f"/{kind}/{name}"))


def test_a_password_is_changed_or_taken_away_alone(admin: httpx.Client, server: Server, name: str) -> None:
    def stored() -> str | None:
        (row,) = (each for each in server.database()["connection"] if each["conn_id"] == name)
        return row["password"]

    success(put(admin, f"/connections/{name}", conn_type="http", host="h", password=SECRET))
    first = stored()
    success(send(admin, "PATCH", f"/connections/{name}", host="other"))
    assert stored() == first
    silent_about(send(admin, "PATCH", f"/connections/{name}", password=f"{SECRET}2"), SECRET)
    assert stored() not in (None, first)
    success(send(admin, "PATCH", f"/connections/{name}", password=""))
    assert stored() is None
    assert success(admin.get(f"/connections/{name}"))["host"] == "other"


def test_each_change_is_in_the_audit_log_without_its_value(server: Server, name: str) -> None:
    success(put(server.admin, f"/variables/{name}", value=SECRET))
    success(put(server.admin, f"/connections/{name}", uri=f"http://me:{SECRET}@h"))
    for event in ("xtended.set_variable", "xtended.set_connection"):
        line = server.airflow.audit(event)[0]
        assert (line.user, name in line.extra, SECRET in line.extra) == ("admin", True, False)
    assert SECRET not in server.log()


def test_the_older_functions_do_the_same(server: Server, name: str) -> None:
    http = httpx.Client(base_url=server.url, auth=("admin", server.passwords["admin"]), timeout=60)

    def call(function: str, **query: str) -> tuple[str, str]:
        answer = http.get("/admin/rest_api/api", params={"api": function, **query})
        assert SECRET not in answer.text
        return answer.json()["status"], answer.json()["output"]

    assert call("variables", set=f"{name} a value")[0] == "OK"
    assert call("variables", get=name) == ("OK", "a value")
    assert name in call("variables")[1].splitlines()
    assert f'"{name}": "a value"' in call("variables", export="some.json")[1]
    assert call("variables", get=f"no_{name}", default="7") == ("OK", "7")
    assert call("variables", set=f"{name}_password {SECRET}")[0] == "OK"
    sent = {"import": ("variables.json", f'{{"{name}": 8}}'.encode())}
    assert http.post("/rest_api/api", params={"api": "variables"}, files=sent).json()["status"] == "OK"
    assert call("variables", get=name, json="") == ("OK", "8")
    assert call("variables", delete=name)[0] == "OK"
    # As it is printed in the document: all at once make no sense.
    everything = dict.fromkeys(("set", "get", "default", "import", "export", "delete"), "value")
    assert call("variables", json="", **everything)[0] == "ERROR"

    added = {"conn_id": name, "conn_uri": f"http://me:{SECRET}@h", "conn_extra": '{"a": 1}'}
    assert call("connections", add="", **added)[0] == "OK"
    assert call("connections", add="", **added)[0] == "ERROR"
    assert f"{name} | http | h | None" in call("connections", list="")[1]
    assert call("connections", delete="true", conn_id=name)[0] == "OK"

    assert call("pool", set=f"{name} 3 three at once")[0] == "OK"
    assert call("pool", get=name) == ("OK", f"{name} | 3 | three at once")
    assert call("pool", set=name)[0] == "ERROR"
    assert call("pool", delete=name)[0] == "OK"


def test_the_older_functions_have_the_rights_of_the_tokens_user(server: Server) -> None:
    # It acts as `user`, who may not see variables in either of Airflow's own sets of roles.
    answer = httpx.get(
        f"{server.url}/rest_api/api?api=variables", headers={"rest-api-plugin-http-token": TOKEN}
    )
    assert answer.status_code == 403, answer.text
