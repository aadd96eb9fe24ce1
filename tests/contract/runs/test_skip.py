"""`skip_task_instance`: a task, or one of its instances, and what depends on it where asked for."""

from __future__ import annotations

from contract.checks import problem, success
from contract.runs.conftest import Control


def test_a_task_is_skipped_and_the_rest_follows_its_trigger_rules(control: Control) -> None:
    control.trigger("deferred", "skip1")
    control.reach("deferred", "skip1", sleeper="deferred")
    query = {"dag_id": "deferred", "run_id": "skip1", "task_id": "sleeper"}
    body = success(control.api.get("/skip_task_instance", params=query))
    when = control.logical_date("deferred", "skip1") or "skip1"
    assert body["message"] == f"<TaskInstance: deferred.sleeper {when} [skipped]> skipped!!"
    assert control.finished("deferred", "skip1") == "success"
    assert control.states("deferred", "skip1") == {"sleeper": "skipped", "later": "skipped"}


def test_downstream_tasks_are_skipped_where_asked_for(control: Control) -> None:
    control.trigger("diamond", "skip2")
    assert control.finished("diamond", "skip2") == "success"
    query = {"dag_id": "diamond", "run_id": "skip2", "task_id": "left", "include_downstream": "y"}
    body = success(control.api.post("/skip_task_instance", params=query))
    assert [task["task_id"] for task in body["tasks"]] == ["bottom", "end", "left"]
    states = control.states("diamond", "skip2")
    assert {task for task, state in states.items() if state == "skipped"} == {"bottom", "end", "left"}


def test_one_instance_of_a_mapped_task_is_skipped_alone(control: Control) -> None:
    control.trigger("mapping", "skip3")
    assert control.finished("mapping", "skip3") == "success"
    query = {"dag_id": "mapping", "run_id": "skip3", "task_id": "each", "map_index": 1}
    success(control.api.post("/skip_task_instance", params=query))
    states = control.states("mapping", "skip3")
    assert [states[f"each[{index}]"] for index in range(3)] == ["success", "skipped", "success"]
    answer = control.api.post("/skip_task_instance", params={**query, "map_index": 9})
    assert "map index 9" in problem(answer, 404, "not-found")["detail"]
