"""The table of the older plugins' functions: which operation each one is, argument by argument."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from xtended.legacy import printed
from xtended.legacy.shapes import Argument, Function, Route, words

SAME = Argument()
FLAG = Argument(flag=True)
CHOICE = Argument(flag=True, read=lambda _: {})
"""A flag that says which of a function's operations is meant, and no more."""
_SUBDIR = Argument(ignored="the DAG is found by its id")
_DAG = {"dag_id": SAME, "subdir": _SUBDIR}
_TASK = {"dag_id": SAME, "task_id": SAME, "execution_date": SAME, "subdir": _SUBDIR}
_RUN = {"dag_id": SAME, "run_id": SAME}
_TASK_NAMES = ("dag_id", "task_id", "execution_date")


def _command(name: str, operation: str, arguments: Mapping[str, Argument], *positional: str) -> Function:
    return Function(name, "command line", (Route(operation, arguments),), positional)


def _managed(name: str, operation: str, arguments: Mapping[str, Argument], **more: Any) -> Function:
    return Function(name, "managed", (Route(operation, arguments, **more),), custom=True)


_DEPLOY = Function(
    "deploy_dag",
    "command line",
    (
        Route(
            "deploy_dag",
            {"dag_file": SAME, "force": FLAG, "pause": FLAG, "unpause": FLAG},
            always={"otf_sync": "true"},
        ),
    ),
    custom=True,
)

_DEPLOY_WORKFLOW = Function(
    "deploy_dag",
    "managed",
    (Route("deploy_workflow", {"workflow": SAME}, when=("workflow",), fields=("message",)),),
    custom=True,
)

_CLEAR = {
    "dag_id": SAME,
    "task_regex": SAME,
    "start_date": SAME,
    "end_date": SAME,
    "subdir": _SUBDIR,
    "upstream": FLAG,
    "downstream": FLAG,
    "no_confirm": Argument(flag=True, ignored="nothing asks here"),
    "only_failed": FLAG,
    "only_running": FLAG,
    "exclude_subdags": Argument(flag=True, ignored="there are no SubDAGs any more"),
}

_PICKLED = "tasks run from their DAG files"
_LOCAL = "Airflow's own executor runs tasks"
_RUN_TASK = {
    **_TASK,
    "mark_success": FLAG,
    "force": FLAG,
    "pool": SAME,
    "cfg_path": Argument(ignored="the server has one configuration"),
    "local": Argument(flag=True, ignored=_LOCAL),
    "ignore_all_dependencies": FLAG,
    "ignore_dependencies": FLAG,
    "ignore_depends_on_past": FLAG,
    "ship_dag": Argument(flag=True, ignored=_PICKLED),
    "pickle": Argument(ignored=_PICKLED),
}
_BACKFILL = {
    "dag_id": SAME,
    "task_regex": SAME,
    "start_date": SAME,
    "end_date": SAME,
    "mark_success": FLAG,
    "local": Argument(flag=True, ignored=_LOCAL),
    "donot_pickle": Argument(flag=True, ignored=_PICKLED),
    "include_adhoc": Argument(flag=True, ignored="there are no ad hoc tasks any more"),
    "ignore_dependencies": FLAG,
    "ignore_first_depends_on_past": Argument(flag=True, ignored="Airflow's own backfill does so"),
    "subdir": _SUBDIR,
    "pool": SAME,
    "dry_run": FLAG,
}

_DAG_STATE = Function(
    "dag_state",
    "managed",
    (Route("dag_state", _RUN, when=("run_id",), fields=("state", "startDate", "endDate")),),
    custom=True,
)
_DAG_STATE_BY_DATE = Function(
    "dag_state",
    "command line",
    (Route("dag_state", {**_DAG, "execution_date": SAME}, output=printed.state),),
    ("dag_id", "execution_date"),
)

_VARIABLES = Function(
    "variables",
    "command line",
    (
        Route("set_variable", {"set": Argument(secret=True, read=words("key", "value"))}, when=("set",)),
        Route(
            "get_variable",
            {"get": Argument("key"), "json": Argument("deserialize", flag=True), "default": SAME},
            when=("get",),
            output=printed.variable,
        ),
        Route("delete_variable", {"delete": Argument("key")}, when=("delete",)),
        Route(
            "import_variables",
            {"import": Argument(secret=True, read=lambda text: {"variables": text}, file="file")},
            when=("import",),
        ),
        Route(
            "export_variables",
            {"export": Argument(ignored="no file is written; the output has the values")},
            when=("export",),
            output=printed.exported,
        ),
        Route("list_variables", {"json": Argument(flag=True, ignored="keys are listed as they are")}),
    ),
)

_CONNECTIONS = Function(
    "connections",
    "command line",
    (
        Route(
            "create_connection",
            {
                "add": CHOICE,
                "conn_id": SAME,
                "conn_uri": Argument("uri", secret=True),
                "conn_extra": Argument("extra", secret=True),
            },
            when=("add",),
        ),
        Route("delete_connection", {"delete": CHOICE, "conn_id": SAME}, when=("delete",)),
        Route("list_connections", {"list": CHOICE}, output=printed.connections),
    ),
)

_POOL = Function(
    "pool",
    "command line",
    (
        Route("set_pool", {"set": Argument(read=words("name", "slots", "description"))}, when=("set",)),
        Route("get_pool", {"get": Argument("name")}, when=("get",), output=printed.pool),
        Route("delete_pool", {"delete": Argument("name")}, when=("delete",)),
        Route("list_pools", {}, output=printed.pools),
    ),
)

_DAEMON = Argument(flag=True, ignored="every service goes on by itself")
_SERVICE = {"pid": SAME, "daemon": _DAEMON, "stdout": SAME, "stderr": SAME, "log-file": Argument("log_file")}


def _service(name: str, arguments: Mapping[str, Argument]) -> Function:
    route = Route("start_service", {**arguments, **_SERVICE}, always={"name": name})
    return Function(name, "command line", (route,))


_SERVICES = (
    _service("kerberos", {"principal": SAME, "keytab": SAME}),
    _service(
        "worker", {"do_pickle": Argument(flag=True, ignored=_PICKLED), "queues": SAME, "concurrency": SAME}
    ),
    _service("flower", {"hostname": SAME, "port": SAME, "flower_conf": SAME, "broker_api": SAME}),
    _service(
        "scheduler",
        {
            "dag_id": Argument(ignored="the scheduler looks after all DAGs"),
            "subdir": Argument(ignored="the scheduler looks after the whole DAG folder"),
            "run-duration": Argument(ignored="Airflow's scheduler has no such option any more"),
            "num_runs": SAME,
            "do_pickle": Argument(flag=True, ignored=_PICKLED),
        },
    ),
    Function("serve_logs", "command line", (Route("start_service", {}, always={"name": "serve_logs"}),)),
)

_FUNCTIONS = (
    *_SERVICES,
    _VARIABLES,
    _CONNECTIONS,
    _POOL,
    Function("version", "command line", (Route("get_version", {}, output=printed.airflow_version),)),
    Function(
        "rest_api_plugin_version",
        "command line",
        (Route("get_version", {}, output=printed.own_version),),
        custom=True,
    ),
    _command("render", "render", _TASK, *_TASK_NAMES),
    Function(
        "test",
        "command line",
        (Route("test", {**_TASK, "dryrun": FLAG, "task_params": SAME}, output=printed.log),),
        _TASK_NAMES,
    ),
    _command("run", "run", _RUN_TASK, *_TASK_NAMES),
    _command("backfill", "backfill", _BACKFILL, "dag_id"),
    _command("pause", "pause", _DAG, "dag_id"),
    _command("unpause", "unpause", _DAG, "dag_id"),
    _command("task_failed_deps", "task_failed_deps", _TASK, *_TASK_NAMES),
    _command("trigger_dag", "trigger_dag", {"dag_id": SAME, "run_id": SAME, "conf": SAME}, "dag_id"),
    _DAG_STATE_BY_DATE,
    _command("list_tasks", "list_tasks", {**_DAG, "tree": FLAG}, "dag_id"),
    Function(
        "list_dags",
        "command line",
        (Route("list_dags", {"subdir": SAME, "report": FLAG}, output=printed.dags),),
    ),
    Function("task_state", "command line", (Route("task_state", _TASK, output=printed.state),), _TASK_NAMES),
    _command("clear", "clear", _CLEAR, "dag_id"),
    _DEPLOY,
    Function("refresh_dag", "command line", (Route("refresh_dag", {"dag_id": SAME}),), custom=True),
    _managed("refresh_all_dags", "refresh_all_dags", {}, text="All DAGs are now up to date"),
    _managed("delete_dag", "delete_dag", {"dag_id": SAME}, fields=("message",)),
    _managed(
        "task_instance_detail",
        "task_instance_detail",
        {**_RUN, "task_id": SAME},
        fields=(
            "taskId",
            "dagId",
            "state",
            "tryNumber",
            "maxTries",
            "startDate",
            "endDate",
            "duration",
        ),
    ),
    _managed(
        "restart_failed_task",
        "restart_failed_task",
        _RUN,
        fields=("failed_task_count", "clear_task_count"),
    ),
    _managed("kill_running_tasks", "kill_running_tasks", {**_RUN, "task_id": SAME}),
    _managed(
        "run_task_instance",
        "run_task_instance",
        {**_RUN, "tasks": SAME, "conf": SAME},
        fields=("execution_date",),
    ),
    _managed(
        "skip_task_instance",
        "skip_task_instance",
        {**_RUN, "task_id": SAME},
        always={"include_downstream": "true"},
    ),
)

_MANAGED_TOO = (_DAG_STATE, _DEPLOY_WORKFLOW)
FUNCTIONS: Mapping[str, Function] = {function.name: function for function in _FUNCTIONS}


def find(name: str, given: frozenset[str]) -> Function | None:
    """The function of this name; where both plugins have it, the one whose arguments are given."""
    for managed in _MANAGED_TOO:
        if name == managed.name and given >= set(managed.routes[0].when):
            return managed
    return FUNCTIONS.get(name)


@functools.cache
def argument_names() -> Mapping[str, str]:
    """Every argument of every function by the name that Connexion gives it: `log-file` is `logfile` there."""
    names = {name for function in (*_FUNCTIONS, *_MANAGED_TOO) for name in function.arguments()}
    return {re.sub(r"\W", "", name): name for name in names}
