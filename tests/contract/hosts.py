"""What the suite must know about the Airflow that it talks to; the tests themselves know of none.

The host is the Airflow that is installed beside the interpreter that runs the tests.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

import httpx

USERS = ("admin", "op", "user", "viewer")


@dataclass(frozen=True)
class DagState:
    """A DAG as Airflow's own API shows it."""

    paused: bool
    stale: bool


@dataclass(frozen=True)
class AuditLine:
    """One entry of Airflow's audit log."""

    number: int
    event: str
    dag_id: str | None
    user: str | None
    extra: str


class Airflow(Protocol):
    """Airflow's own API at one server, as an administrator sees it."""

    kind: str
    api: httpx.Client
    dag_imports: str
    """The lines that give a DAG file `DAG`, `dag` and `task`."""
    has_bearer: bool
    """Whether there is a `POST /auth/token`."""
    session_cookie: str
    web_workers: int
    """Processes that `make run` has answer requests."""
    variable_import: str
    variable_default: str
    """Name of the argument of `Variable.get` that is answered where there is no such Variable."""
    hook_import: str
    keeps_backfills: bool
    """Whether Airflow has a record of backfills, so that one can take over a run that there is."""
    keeps_parse_times: bool
    """Whether the database says how long a file's last parse took."""
    newer_rules: Sequence[str]
    """Trigger rules that not every Airflow has."""
    deployments_page: str
    """Path of the page of Airflow's UI that shows the extension's Deployments page."""
    menu_to_entries: Sequence[str]
    """What is opened in Airflow's menu, one after the other, until the extension's entries are seen."""
    run_settings: Mapping[str, str]
    """What a server needs to run several tasks at once, and to notice soon that one was ended."""

    def token(self, user: str, password: str) -> str:
        """A bearer token of Airflow; what would be one where it has none."""
        ...

    def session(self, user: str, password: str) -> str:
        """The session cookie's value after a login to the UI."""
        ...

    def dag(self, dag_id: str) -> DagState | None: ...

    def tasks(self, dag_id: str) -> set[str]: ...

    def trigger(self, dag_id: str, run_id: str | None = None, conf: Mapping[str, Any] | None = None) -> str:
        """Id of a new run, without a logical date where there is such a thing; fails where Airflow refuses."""
        ...

    def run_tasks(self, dag_id: str, run_id: str) -> set[str]: ...

    def delete_runs(self, dag_id: str) -> None: ...

    def import_errors(self) -> Mapping[str, str]:
        """Stack trace by file, relative to the DAG folder."""
        ...

    def audit(self, event: str | None = None) -> Sequence[AuditLine]:
        """The newest entries first, at most 100."""
        ...

    def menu(self) -> Sequence[Mapping[str, Any]]:
        """The entries that plugins bring: `name`, `category`, `href`."""
        ...

    def healthy(self) -> bool: ...

    def add_user(self, name: str, password: str, rights: Sequence[tuple[str, str]]) -> None:
        """A Flask-AppBuilder user with a role of its own: pairs of an action and a resource that exist."""
        ...

    def set_variable(self, key: str, value: str) -> None: ...

    def set_connection(self, conn_id: str, host: str) -> None: ...

    def add_connection(self, about: Mapping[str, Any]) -> None:
        """Add a connection, as Airflow's own API takes it."""
        ...

    def parse_requests(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[str]:
        """Files that the database asks the DAG processor to parse next."""
        ...


class Airflow3:
    kind = "airflow3"
    dag_imports = "from airflow.sdk import DAG, dag, task\n"
    has_bearer = True
    session_cookie = "_token"
    web_workers = 1
    variable_import = "from airflow.sdk import Variable"
    variable_default = "default"
    hook_import = "from airflow.sdk.bases.hook import BaseHook"
    keeps_backfills = True
    keeps_parse_times = True
    newer_rules: Sequence[str] = ("all_done_min_one_success",)
    deployments_page = "/plugin/xtended-deployments"
    menu_to_entries: Sequence[str] = ("Plugins", "Xtended API")
    run_settings: Mapping[str, str] = {"AIRFLOW__API__WORKERS": "1"}
    fab_settings: Mapping[str, str] = {
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    }

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._http = httpx.Client(base_url=url, timeout=60)
        token = self.token(user, password)
        self.api = httpx.Client(
            base_url=f"{url}/api/v2", timeout=60, headers={"Authorization": f"Bearer {token}"}
        )

    def token(self, user: str, password: str) -> str:
        answer = self._http.post("/auth/token", json={"username": user, "password": password})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["access_token"])

    def session(self, user: str, password: str) -> str:
        return self.token(user, password)

    def dag(self, dag_id: str) -> DagState | None:
        answer = self.api.get(f"/dags/{dag_id}/details")
        if answer.status_code == 404:
            return None
        found = _read(answer)
        return DagState(paused=found["is_paused"], stale=found["is_stale"])

    def tasks(self, dag_id: str) -> set[str]:
        return {task["task_id"] for task in self._get(f"/dags/{dag_id}/tasks")["tasks"]}

    def trigger(self, dag_id: str, run_id: str | None = None, conf: Mapping[str, Any] | None = None) -> str:
        body = {**_new_run(run_id, conf), "logical_date": None}
        return str(_read(self.api.post(f"/dags/{dag_id}/dagRuns", json=body))["dag_run_id"])

    def run_tasks(self, dag_id: str, run_id: str) -> set[str]:
        found = self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return {task["task_id"] for task in found["task_instances"]}

    def delete_runs(self, dag_id: str) -> None:
        for run in self._get(f"/dags/{dag_id}/dagRuns")["dag_runs"]:
            answer = self.api.delete(f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}")
            assert answer.status_code == 204, answer.text

    def import_errors(self) -> Mapping[str, str]:
        found = self._get("/importErrors", limit=100)["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in found}

    def audit(self, event: str | None = None) -> Sequence[AuditLine]:
        query = {"event": event} if event else {}
        found = self._get("/eventLogs", limit=100, order_by="-event_log_id", **query)
        return [
            AuditLine(
                entry["event_log_id"], entry["event"], entry["dag_id"], entry["owner"], entry["extra"] or ""
            )
            for entry in found["event_logs"]
        ]

    def menu(self) -> Sequence[Mapping[str, Any]]:
        return [view for plugin in self._get("/plugins")["plugins"] for view in plugin["external_views"]]

    def healthy(self) -> bool:
        return self._http.get("/api/v2/monitor/health").status_code == 200

    def add_user(self, name: str, password: str, rights: Sequence[tuple[str, str]]) -> None:
        actions = [
            {"action": {"name": action}, "resource": {"name": resource}} for action, resource in rights
        ]
        fab = f"{self._url}/auth/fab/v1"
        _read(self.api.post(f"{fab}/roles", json={"name": f"role of {name}", "actions": actions}))
        about = {"username": name, "email": f"{name}@localhost", "first_name": name, "last_name": name}
        roles = [{"name": f"role of {name}"}]
        _read(self.api.post(f"{fab}/users", json={**about, "roles": roles, "password": password}))

    def set_variable(self, key: str, value: str) -> None:
        answer = self.api.post("/variables", json={"key": key, "value": value})
        if answer.status_code == 409:
            answer = self.api.patch(f"/variables/{key}", json={"key": key, "value": value})
        _read(answer)

    def set_connection(self, conn_id: str, host: str) -> None:
        about = {"connection_id": conn_id, "conn_type": "http", "host": host, "login": "x", "password": "y"}
        _read(self.api.post("/connections", json=about))

    def add_connection(self, about: Mapping[str, Any]) -> None:
        _read(self.api.post("/connections", json=dict(about)))

    def parse_requests(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[str]:
        return {row["relative_fileloc"] for row in rows["dag_priority_parsing_request"]}

    def _get(self, path: str, **query: Any) -> Any:
        return _read(self.api.get(path, params=query))


class Airflow2:
    kind = "airflow2"
    dag_imports = "from airflow import DAG\nfrom airflow.decorators import dag, task\n"
    has_bearer = False
    session_cookie = "session"
    web_workers = 2
    variable_import = "from airflow.models import Variable"
    variable_default = "default_var"
    hook_import = "from airflow.hooks.base import BaseHook"
    keeps_backfills = False
    keeps_parse_times = False
    newer_rules: Sequence[str] = ()
    # Airflow 2 keeps SQLite for one task at a time, but for this switch of its own tests.
    deployments_page = "/xtended_api/view/deployments"
    menu_to_entries: Sequence[str] = ("Xtended API",)
    run_settings: Mapping[str, str] = {
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": "1",
        # SQLite locks no rows: a task's end and the scheduler would both schedule what comes next, as two tries.
        "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
        "AIRFLOW__WEBSERVER__WORKERS": "1",
    }
    # It has no other auth manager.
    fab_settings: Mapping[str, str] = {}

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._login = user, password
        # Not by password: Airflow would check that for each of the many looks at how a run is doing.
        cookies = {self.session_cookie: self.session(user, password)}
        self.api = httpx.Client(base_url=f"{url}/api/v1", timeout=60, cookies=cookies)

    def token(self, user: str, password: str) -> str:
        return "airflow-2-has-none"

    @functools.cache  # noqa: B019 - there are few servers, and Airflow limits the rate of logins
    def session(self, user: str, password: str) -> str:
        with httpx.Client(base_url=self._url, timeout=60) as browser:
            found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', browser.get("/login/").text)
            assert found, "the login page has no CSRF token"
            form = {"csrf_token": found[1], "username": user, "password": password}
            assert browser.post("/login/", data=form).headers["location"] != "/login/"
            return str(browser.cookies[self.session_cookie])

    def dag(self, dag_id: str) -> DagState | None:
        answer = self.api.get(f"/dags/{dag_id}")
        if answer.status_code == 404:
            return None
        found = _read(answer)
        return DagState(paused=found["is_paused"], stale=not found["is_active"])

    def tasks(self, dag_id: str) -> set[str]:
        return {task["task_id"] for task in self._get(f"/dags/{dag_id}/tasks")["tasks"]}

    def trigger(self, dag_id: str, run_id: str | None = None, conf: Mapping[str, Any] | None = None) -> str:
        body = _new_run(run_id, conf)
        return str(_read(self.api.post(f"/dags/{dag_id}/dagRuns", json=body))["dag_run_id"])

    def run_tasks(self, dag_id: str, run_id: str) -> set[str]:
        found = self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return {task["task_id"] for task in found["task_instances"]}

    def delete_runs(self, dag_id: str) -> None:
        for run in self._get(f"/dags/{dag_id}/dagRuns")["dag_runs"]:
            answer = self.api.delete(f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}")
            assert answer.status_code == 204, answer.text

    def import_errors(self) -> Mapping[str, str]:
        found = self._get("/importErrors", limit=100)["import_errors"]
        return {_below_dags(error["filename"]): error["stack_trace"] for error in found}

    def audit(self, event: str | None = None) -> Sequence[AuditLine]:
        query = {"event": event} if event else {}
        found = self._get("/eventLogs", limit=100, order_by="-event_log_id", **query)
        return [
            AuditLine(
                entry["event_log_id"], entry["event"], entry["dag_id"], entry["owner"], entry["extra"] or ""
            )
            for entry in found["event_logs"]
        ]

    def menu(self) -> Sequence[Mapping[str, Any]]:
        # The UI makes an address of the name that a plugin gives: only its pages have it.
        page = self._home_page()
        found = re.search(r"Xtended API<b.*?</ul>", page, re.DOTALL)
        links = re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)</a>', found[0]) if found else []
        return [{"name": name.strip(), "category": "Xtended API", "href": href} for href, name in links]

    def healthy(self) -> bool:
        return httpx.get(f"{self._url}/api/v1/health").status_code == 200

    def add_user(self, name: str, password: str, rights: Sequence[tuple[str, str]]) -> None:
        actions = [
            {"action": {"name": action}, "resource": {"name": resource}} for action, resource in rights
        ]
        fab = f"{self._url}/auth/fab/v1"
        _read(self.api.post(f"{fab}/roles", json={"name": f"role of {name}", "actions": actions}))
        about = {"username": name, "email": f"{name}@localhost", "first_name": name, "last_name": name}
        roles = [{"name": f"role of {name}"}]
        _read(self.api.post(f"{fab}/users", json={**about, "roles": roles, "password": password}))

    def set_variable(self, key: str, value: str) -> None:
        # Airflow 2 sets it again where it is there.
        _read(self.api.post("/variables", json={"key": key, "value": value}))

    def set_connection(self, conn_id: str, host: str) -> None:
        about = {"connection_id": conn_id, "conn_type": "http", "host": host, "login": "x", "password": "y"}
        _read(self.api.post("/connections", json=about))

    def add_connection(self, about: Mapping[str, Any]) -> None:
        _read(self.api.post("/connections", json=dict(about)))

    def parse_requests(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[str]:
        return {_below_dags(row["fileloc"]) for row in rows["dag_priority_parsing_request"]}

    def _home_page(self) -> str:
        cookie = self.session(*self._login)
        answer = httpx.get(f"{self._url}/home", cookies={self.session_cookie: cookie}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.text

    def _get(self, path: str, **query: Any) -> Any:
        return _read(self.api.get(path, params=query))


def _below_dags(fileloc: str) -> str:
    return fileloc.rpartition("/dags/")[2]


def _new_run(run_id: str | None, conf: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**({"dag_run_id": run_id} if run_id else {}), "conf": conf or {}}


def _read(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer.json()


HOSTS: Mapping[str, type[Airflow3] | type[Airflow2]] = {"3": Airflow3, "2": Airflow2}


def installed() -> type[Airflow3] | type[Airflow2]:
    """The host that this interpreter's Airflow is."""
    return HOSTS[version("apache-airflow").split(".")[0]]
