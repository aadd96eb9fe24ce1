"""Services of Airflow: off unless allowed, for administrators, one process each, and no argument gets out of hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest
from real_servers import free_port

from contract import server as servers
from contract.checks import problem, silent_about, success
from contract.server import Server

Start = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Logs are served at a port that nobody else has, here."""
    home = tmp_path_factory.mktemp("services")
    settings = {
        "AIRFLOW__XTENDED_API__ALLOW_SERVICES": "True",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
    }
    running = servers.start(home, settings)
    yield running
    running.close()


@pytest.fixture
def start(allowed: Server) -> Iterator[Start]:
    yield lambda name, **arguments: allowed.admin.post(f"/services/{name}", params=arguments)
    for each in success(allowed.admin.get("/services"))["services"]:
        if each["state"] == "running":
            success(allowed.admin.delete(f"/services/{each['name']}"))


def state(server: Server, name: str) -> dict[str, object]:
    found = {each["name"]: each for each in success(server.admin.get("/services"))["services"]}
    return dict(found[name])


def test_services_are_off_unless_the_settings_allow_them(server: Server) -> None:
    for method, path in (
        ("GET", "/services"),
        ("POST", "/services/scheduler"),
        ("DELETE", "/services/scheduler"),
    ):
        refused = problem(server.admin.request(method, path), 403, "services-off")
        assert "allow_services" in refused["detail"]


def test_nobody_but_administrators_may(allowed: Server) -> None:
    for user in ("viewer", "user", "op"):
        problem(allowed.client(user).post("/services/scheduler"), 403, "forbidden")
        problem(allowed.client(user).get("/services"), 403, "forbidden")


def test_a_service_starts_once_is_listed_and_stops(allowed: Server, start: Start) -> None:
    assert state(allowed, "scheduler")["state"] == "stopped"
    answer = start("scheduler", num_runs=100000, pid="scheduler.pid", log_file="logs/sched.log")
    service = success(answer)["service"]
    silent_about(answer, str(allowed.home))
    assert (service["state"], service["user"], service["log"]) == ("running", "admin", "logs/sched.log")
    assert service["arguments"]["num_runs"] == 100000
    assert int((allowed.home / "scheduler.pid").read_text()) == service["pid"]
    command = psutil.Process(service["pid"]).cmdline()
    assert command[-2:] == ["--num-runs", "100000"]
    problem(start("scheduler"), 409, "conflict")
    assert state(allowed, "scheduler") == service
    events = {line.event for line in allowed.airflow.audit()}
    success(allowed.admin.delete("/services/scheduler"))
    assert not psutil.pid_exists(service["pid"]) or psutil.Process(service["pid"]).status() == "zombie"
    assert state(allowed, "scheduler")["state"] == "stopped"
    problem(allowed.admin.delete("/services/scheduler"), 404, "not-found")
    assert {"xtended.start_service", "xtended.stop_service"} <= events | {
        line.event for line in allowed.airflow.audit()
    }


def test_logs_are_served_by_the_older_function(allowed: Server, start: Start) -> None:
    answer = httpx.get(
        f"{allowed.url}/rest_api/api",
        params={"api": "serve_logs"},
        auth=("admin", allowed.passwords["admin"]),
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["output"] == "Service serve_logs has been started"
    deadline = time.monotonic() + 60
    pid = state(allowed, "serve_logs")["pid"]
    while not psutil.Process(pid).net_connections("inet"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("name", "status"), [("kerberos", 409), ("worker", 409), ("flower", 409), ("scheduler", 200)]
)
def test_the_older_functions_are_these_services(
    allowed: Server, start: Start, name: str, status: int
) -> None:
    login = ("admin", allowed.passwords["admin"])
    answer = httpx.get(f"{allowed.url}/admin/rest_api/api?api={name}", auth=login, timeout=60)
    body = answer.json()
    assert (answer.status_code, body["http_response_code"], body["airflow_cmd"]) == (
        status,
        status,
        f"airflow {name}",
    )
    assert name in body["output"]


@pytest.mark.parametrize(
    ("name", "package"), [("worker", "celery"), ("flower", "flower"), ("kerberos", "kinit")]
)
def test_what_is_not_installed_is_named(allowed: Server, start: Start, name: str, package: str) -> None:
    assert package in problem(start(name), 409, "conflict")["detail"]
    assert package in str(state(allowed, name)["missing"])


HOSTILE = [
    "; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a|b",
    "a b",
    "--daemon",
    "-D",
    "a\nb",
    "%s",
    "a'b",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    ("name", "argument"),
    [("worker", "queues"), ("flower", "hostname"), ("flower", "broker_api"), ("kerberos", "principal")],
)
def test_what_a_shell_would_take_for_more_is_refused(
    start: Start, name: str, argument: str, text: str
) -> None:
    problem(start(name, **{argument: text}), 400, "bad-request")


@pytest.mark.parametrize("argument", ["pid", "stdout", "stderr", "log_file"])
@pytest.mark.parametrize(
    "path",
    [
        "/etc/x.log",
        "../x.log",
        "logs/../../x.log",
        "dags/x.py",
        "airflow.cfg",
        "airflow.db",
        ".",
        "logs",
        "x\\y.log",
    ],
)
def test_a_file_out_of_place_is_refused(allowed: Server, start: Start, argument: str, path: str) -> None:
    files = allowed.files()
    config = (allowed.home / "airflow.cfg").read_bytes()
    problem(start("scheduler", **{argument: path}), 400, "bad-request")
    assert state(allowed, "scheduler")["state"] == "stopped"
    assert allowed.files() == files
    assert (allowed.home / "airflow.cfg").read_bytes() == config


def test_a_link_leads_nowhere_else(allowed: Server, start: Start) -> None:
    (allowed.home / "out").symlink_to("/tmp")
    (allowed.home / "away.log").symlink_to("/tmp/away.log")
    for path in ("out/x.log", "away.log"):
        problem(start("scheduler", log_file=path), 400, "bad-request")


def test_arguments_of_another_service_are_refused(start: Start) -> None:
    assert "queues" in problem(start("scheduler", queues="default"), 400, "bad-request")["detail"]
    problem(start("scheduler", num_runs="-1"), 400, "bad-request")
    problem(start("no_such_service"), 400, "bad-request")
