"""Reading the state of runs and tasks, as the older API's callers know it."""

from __future__ import annotations

import re
from datetime import datetime

from contract.checks import problem, success
from contract.runs.conftest import Control

OLDER_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000")


def _date(text: str | None) -> datetime | None:
    return None if text is None else datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")


def test_the_state_of_a_run_has_the_older_fields(control: Control) -> None:
    control.trigger("chain", "look1", {"fail": ["b"]})
    assert control.finished("chain", "look1") == "failed"
    body = success(control.api.get("/dag_state?dag_id=chain&run_id=look1"))
    assert (body["state"], body["run_id"]) == ("failed", "look1")
    assert _date(body["execution_date"]) == control.logical_date("chain", "look1")
    assert OLDER_DATE.fullmatch(body["startDate"])
    assert OLDER_DATE.fullmatch(body["endDate"])


def test_the_state_of_a_task_is_told(control: Control) -> None:
    control.trigger("chain", "look2", {"fail": ["b"]})
    assert control.finished("chain", "look2") == "failed"
    for task, state in (("a", "success"), ("b", "failed"), ("c", "upstream_failed")):
        body = success(control.api.get(f"/task_state?dag_id=chain&run_id=look2&task_id={task}"))
        assert (body["state"], body["instances"]) == (state, [{"map_index": -1, "state": state}])
    unknown = control.api.get("/task_state?dag_id=chain&run_id=look2&task_id=x")
    assert problem(unknown, 404, "not-found")["task_ids"] == ["x"]


def test_the_details_of_a_task_have_the_older_fields(control: Control) -> None:
    control.trigger("mapping", "look3", {"fail": ["each[1]"]})
    assert control.finished("mapping", "look3") == "failed"
    query = {"dag_id": "mapping", "run_id": "look3", "task_id": "each"}
    body = success(control.api.get("/task_instance_detail", params=query))
    assert [(one["mapIndex"], one["state"]) for one in body["instances"]] == [
        (0, "success"), (1, "failed"), (2, "success"),
    ]  # fmt: skip
    body = success(control.api.get("/task_instance_detail", params={**query, "map_index": 1}))
    assert (body["taskId"], body["dagId"], body["state"]) == ("each", "mapping", "failed")
    assert (body["tryNumber"], body["maxTries"]) == (1, 0)
    assert OLDER_DATE.fullmatch(body["startDate"])
    assert body["duration"] > 0
    body = success(control.api.get("/task_state", params=query))
    assert body["state"] is None


def test_tasks_are_listed_in_their_order_and_as_a_tree(control: Control) -> None:
    body = success(control.api.get("/list_tasks?dag_id=diamond"))
    assert body["message"] == "top\nleft\nright\nbottom\nend"
    assert body["tasks"][0]["downstream"] == ["left", "right"]
    body = success(control.api.get("/list_tasks?dag_id=diamond&tree=y"))
    assert body["message"].splitlines() == [
        "<Task(PythonOperator): top>",
        "    <Task(PythonOperator): left>",
        "        <Task(PythonOperator): bottom>",
        "            <Task(EmptyOperator): end>",
        "    <Task(PythonOperator): right>",
        "        <Task(PythonOperator): bottom> ...",
    ]
    problem(control.api.get("/list_tasks?dag_id=nowhere"), 404, "not-found")


def test_runs_are_listed_the_newest_first(control: Control) -> None:
    for run_id, conf in (("list1", {"fail": ["b"]}), ("list2", {}), ("list3", {"fail": ["a"]})):
        control.trigger("chain", run_id, conf)
        control.finished("chain", run_id)
    newest = success(control.api.get("/runs", params={"dag_id": "chain", "limit": 3}))["runs"]
    assert [(run["run_id"], run["state"]) for run in newest] == [
        ("list3", "failed"), ("list2", "success"), ("list1", "failed"),
    ]  # fmt: skip
    state = success(control.api.get("/dag_state?dag_id=chain&run_id=list2"))
    assert newest[1] == {
        "run_id": "list2",
        "state": "success",
        "execution_date": state["execution_date"],
        "start_date": state["startDate"],
        "end_date": state["endDate"],
    }
    failed = success(control.api.get("/runs", params={"dag_id": "chain", "state": "failed", "limit": 2}))
    assert [run["run_id"] for run in failed["runs"]] == ["list3", "list1"]
    problem(control.api.get("/runs", params={"dag_id": "nowhere"}), 404, "not-found")
    problem(control.api.get("/runs", params={"dag_id": "chain", "state": "odd"}), 400, "bad-request")


def test_a_viewer_may_look(control: Control) -> None:
    control.trigger("chain", "look4")
    viewer = control.server.client("viewer")
    success(viewer.get("/dag_state?dag_id=chain&run_id=look4"))
    success(viewer.get("/task_state?dag_id=chain&run_id=look4&task_id=a"))
    success(viewer.get("/list_tasks?dag_id=chain"))
    success(viewer.get("/runs?dag_id=chain"))
