"""The table of older functions, row by row: what the older documents name, and what the contract takes for it."""

from __future__ import annotations

from typing import Any

import pytest

from xtended.api import Upload
from xtended.contract import load_spec
from xtended.legacy.functions import FUNCTIONS, find
from xtended.legacy.relay import Request, SpecRelay, resolved
from xtended.legacy.shapes import Function
from xtended.legacy.translation import Asked, command, shown, translate
from xtended.problems import BadRequest
from xtended.relaying import Reply

SPEC = load_spec()
METHODS = ("get", "post", "put", "patch", "delete")

# As the two documents list them.
OF_EACH_SERVICE = "pid daemon stdout stderr log-file"
DOCUMENTED = {
    "version": "",
    "kerberos": f"principal keytab {OF_EACH_SERVICE}",
    "worker": f"do_pickle queues concurrency {OF_EACH_SERVICE}",
    "flower": f"hostname port flower_conf broker_api {OF_EACH_SERVICE}",
    "scheduler": f"dag_id subdir run-duration num_runs do_pickle {OF_EACH_SERVICE}",
    "serve_logs": "",
    "variables": "set get json default import export delete",
    "connections": "list add delete conn_id conn_uri conn_extra",
    "pool": "set get delete",
    "rest_api_plugin_version": "",
    "render": "dag_id task_id execution_date subdir",
    "test": "dag_id task_id execution_date subdir dryrun task_params",
    "run": "dag_id task_id execution_date subdir mark_success force pool cfg_path local ignore_all_dependencies "
    "ignore_dependencies ignore_depends_on_past ship_dag pickle",
    "backfill": "dag_id task_regex start_date end_date mark_success local donot_pickle include_adhoc "
    "ignore_dependencies ignore_first_depends_on_past subdir pool dry_run",
    "pause": "dag_id subdir",
    "unpause": "dag_id subdir",
    "task_failed_deps": "dag_id task_id execution_date subdir",
    "trigger_dag": "dag_id run_id conf",
    "dag_state": "dag_id execution_date subdir",
    "list_tasks": "dag_id tree subdir",
    "list_dags": "subdir report",
    "task_state": "dag_id task_id execution_date subdir",
    "clear": "dag_id task_regex start_date end_date subdir upstream downstream no_confirm only_failed "
    "only_running exclude_subdags",
    "deploy_dag": "dag_file force pause unpause",
    "refresh_dag": "dag_id",
    "refresh_all_dags": "",
    "delete_dag": "dag_id",
    "task_instance_detail": "dag_id run_id task_id",
    "restart_failed_task": "dag_id run_id",
    "kill_running_tasks": "dag_id run_id task_id",
    "run_task_instance": "dag_id run_id tasks conf",
    "skip_task_instance": "dag_id run_id task_id",
}


def _declared(operation_id: str) -> set[str]:
    """The arguments that an operation takes, wherever it takes them."""
    for item in SPEC["paths"].values():
        for method in METHODS:
            if item.get(method, {}).get("operationId") != operation_id:
                continue
            declared = [*item.get("parameters", ()), *item[method].get("parameters", ())]
            names = {resolved(SPEC, each)["name"] for each in declared}
            for content in item[method].get("requestBody", {}).get("content", {}).values():
                names |= set(resolved(SPEC, content["schema"]).get("properties", ()))
            return names
    raise AssertionError(f"there is no operation {operation_id}")


def _sent(name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    meant = translate(Asked(name, arguments))
    return meant.route.operation, dict(meant.arguments)


def _every_function() -> list[Any]:
    rows = [*FUNCTIONS.values(), find("dag_state", frozenset({"run_id"}))]
    return [pytest.param(row, id=f"{row.name}-{row.family.split()[0]}") for row in rows if row]


@pytest.mark.parametrize(("name", "arguments"), DOCUMENTED.items())
def test_a_function_takes_the_arguments_that_its_document_names(name: str, arguments: str) -> None:
    assert set(FUNCTIONS[name].arguments()) >= set(arguments.split())


def test_the_contract_lists_every_function_and_each_of_their_arguments() -> None:
    parameters = SPEC["components"]["parameters"]
    assert set(parameters["older_api"]["schema"]["enum"]) == set(FUNCTIONS)
    for path in ("/rest_api/api", "/admin/rest_api/api"):
        declared = {resolved(SPEC, each)["name"] for each in SPEC["paths"][path]["parameters"]}
        taken = {name for function in FUNCTIONS.values() for name in function.arguments()}
        assert declared == {"api", *taken} - {"dag_file"}


@pytest.mark.parametrize("function", _every_function())
def test_an_operation_takes_every_argument_that_a_row_hands_it(function: Function) -> None:
    for route in function.routes:
        handed = set(route.always)
        for name, argument in route.arguments.items():
            if not argument.ignored and argument.read is None:
                handed.add(argument.to or name)
        assert handed <= _declared(route.operation)


@pytest.mark.parametrize(
    ("name", "given", "operation", "arguments"),
    [
        ("version", {}, "get_version", {}),
        ("pause", {"dag_id": "a", "subdir": "/x"}, "pause", {"dag_id": "a"}),
        ("unpause", {"dag_id": "a"}, "unpause", {"dag_id": "a"}),
        ("trigger_dag", {"dag_id": "a", "conf": "{}"}, "trigger_dag", {"dag_id": "a", "conf": "{}"}),
        ("dag_state", {"dag_id": "a", "run_id": "r"}, "dag_state", {"dag_id": "a", "run_id": "r"}),
        (
            "dag_state",
            {"dag_id": "a", "execution_date": "2017-01-02"},
            "dag_state",
            {"dag_id": "a", "execution_date": "2017-01-02"},
        ),
        ("list_tasks", {"dag_id": "a", "tree": ""}, "list_tasks", {"dag_id": "a", "tree": "true"}),
        ("list_dags", {"report": "n"}, "list_dags", {"report": "n"}),
        (
            "clear",
            {"dag_id": "a", "only_failed": "", "no_confirm": "", "exclude_subdags": ""},
            "clear",
            {"dag_id": "a", "only_failed": "true"},
        ),
        ("refresh_all_dags", {}, "refresh_all_dags", {}),
        (
            "skip_task_instance",
            {"dag_id": "a", "run_id": "r", "task_id": "t"},
            "skip_task_instance",
            {"dag_id": "a", "run_id": "r", "task_id": "t", "include_downstream": "true"},
        ),
    ],
)
def test_arguments_reach_the_operation(
    name: str, given: dict[str, str], operation: str, arguments: dict[str, str]
) -> None:
    assert _sent(name, given) == (operation, arguments)


def test_what_has_no_effect_is_told() -> None:
    (warning,) = translate(Asked("pause", {"dag_id": "a", "subdir": "/x"})).warnings
    assert "subdir" in warning


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (Asked("no_such_function"), "no_such_function"),
        (Asked("clear", {"only_faild": "true"}), "only_faild"),
        (Asked("pause", {"dag_id": "a"}, {"dag_id": "b"}), "dag_id"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(asked: Asked, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        translate(asked)


def test_the_command_line_is_quoted_for_a_shell() -> None:
    asked = Asked("clear", {"dag_id": "a; rm -rf /", "only_failed": "", "task_regex": "$(id)"})
    assert command(asked) == "airflow clear 'a; rm -rf /' --only_failed --task_regex '$(id)'"


def test_a_function_that_was_no_command_shows_none() -> None:
    assert command(Asked("refresh_dag", {"dag_id": "a"})) is None


def _relayed(operation_id: str, arguments: dict[str, Any]) -> Request:
    seen: list[Request] = []

    def send(request: Request, user: Any) -> Reply:
        seen.append(request)
        return Reply(200, {})

    SpecRelay(SPEC, send)(operation_id, arguments, None)  # type: ignore[arg-type]
    return seen[0]


def test_each_argument_goes_where_the_contract_has_it() -> None:
    request = _relayed("pause", {"dag_id": "a"})
    assert (request.method, request.path, request.query) == ("POST", "/pause", {"dag_id": "a"})
    upload = Upload("x.py", None)  # type: ignore[arg-type]
    request = _relayed("deploy_dag", {"dag_file": upload, "force": "y"})
    assert (request.form, request.files) == ({"force": "y"}, {"dag_file": upload})
    # Refused by the operation, not dropped on the way.
    assert _relayed("pause", {"dag_id": "a", "other": "b"}).query == {"dag_id": "a", "other": "b"}


@pytest.mark.parametrize(
    ("name", "given", "operation", "arguments"),
    [
        ("render", {"dag_id": "a", "task_id": "t"}, "render", {"dag_id": "a", "task_id": "t"}),
        (
            "test",
            {"dag_id": "a", "task_id": "t", "dryrun": "", "task_params": "{}"},
            "test",
            {"dag_id": "a", "task_id": "t", "dryrun": "true", "task_params": "{}"},
        ),
        (
            "run",
            {
                "dag_id": "a",
                "task_id": "t",
                "force": "",
                "pickle": "x",
                "cfg_path": "/etc/passwd",
                "local": "",
            },
            "run",
            {"dag_id": "a", "task_id": "t", "force": "true"},
        ),
        (
            "backfill",
            {"dag_id": "a", "start_date": "2026-01-01", "dry_run": "", "donot_pickle": ""},
            "backfill",
            {"dag_id": "a", "start_date": "2026-01-01", "dry_run": "true"},
        ),
        ("variables", {}, "list_variables", {}),
        ("variables", {"set": "K a b"}, "set_variable", {"key": "K", "value": "a b"}),
        ("variables", {"get": "K", "json": ""}, "get_variable", {"key": "K", "deserialize": "true"}),
        ("variables", {"get": "K", "default": "d"}, "get_variable", {"key": "K", "default": "d"}),
        ("variables", {"delete": "K"}, "delete_variable", {"key": "K"}),
        ("variables", {"import": "{}"}, "import_variables", {"variables": "{}"}),
        ("variables", {"export": "x"}, "export_variables", {}),
        ("connections", {}, "list_connections", {}),
        ("connections", {"list": ""}, "list_connections", {}),
        ("connections", {"list": "", "add": "n", "delete": "false"}, "list_connections", {}),
        (
            "connections",
            {"add": "", "conn_id": "c", "conn_uri": "u", "conn_extra": "{}"},
            "create_connection",
            {"conn_id": "c", "uri": "u", "extra": "{}"},
        ),
        ("connections", {"delete": "", "conn_id": "c"}, "delete_connection", {"conn_id": "c"}),
        ("pool", {}, "list_pools", {}),
        ("pool", {"set": "P 3 a b"}, "set_pool", {"name": "P", "slots": "3", "description": "a b"}),
        ("pool", {"get": "P"}, "get_pool", {"name": "P"}),
        ("pool", {"delete": "P"}, "delete_pool", {"name": "P"}),
    ],
)
def test_one_function_is_the_operation_that_its_arguments_say(
    name: str, given: dict[str, str], operation: str, arguments: dict[str, str]
) -> None:
    assert _sent(name, given) == (operation, arguments)


def test_a_secret_is_not_sent_back() -> None:
    for asked in (
        Asked("connections", {"add": "", "conn_uri": "http://me:pw@h", "conn_extra": "pw"}),
        Asked("variables", {"set": "K pw"}),
        Asked("variables", {"import": '{"K": "pw"}'}),
    ):
        assert "pw" not in str(command(asked))
        assert "pw" not in str(shown(asked.function, asked.query))
