"""`restart_failed_task`: every failed task and what depends on it, each once."""

from __future__ import annotations

from contract.checks import problem
from contract.runs.conftest import Control


def _restart(control: Control, dag_id: str, run_id: str, failed: int, cleared: int) -> None:
    answer = control.api.post("/restart_failed_task", params={"dag_id": dag_id, "run_id": run_id})
    assert answer.status_code == 200, answer.text
    counts = {"failed_task_count": failed, "clear_task_count": cleared}
    assert answer.json() == {"status": "success", "message": counts, **counts}


def _fail(control: Control, dag_id: str, run_id: str, *tasks: str) -> None:
    control.trigger(dag_id, run_id, {"fail": list(tasks)})
    assert control.finished(dag_id, run_id) == "failed"


def _mend(control: Control, run_id: str) -> None:
    (control.started / f"{run_id}.mended").touch()


def test_all_failed_tasks_and_their_descendants_run_again(control: Control) -> None:
    _fail(control, "diamond", "restart1", "left", "right")
    _mend(control, "restart1")
    _restart(control, "diamond", "restart1", failed=2, cleared=4)
    assert control.finished("diamond", "restart1") == "success"
    assert sorted(control.marks("restart1")) == ["bottom", "left", "left", "right", "right", "top"]
    assert {
        task["try_number"] for task in control.tasks("diamond", "restart1") if task["task_id"] == "left"
    } == {2}


def test_what_succeeded_beside_stays(control: Control) -> None:
    _fail(control, "diamond", "restart2", "left")
    _mend(control, "restart2")
    _restart(control, "diamond", "restart2", failed=1, cleared=3)
    assert control.finished("diamond", "restart2") == "success"
    assert control.marks("restart2").count("right") == 1


def test_one_failed_instance_of_a_mapped_task_runs_again_alone(control: Control) -> None:
    _fail(control, "mapping", "restart3", "each[1]")
    _mend(control, "restart3")
    _restart(control, "mapping", "restart3", failed=1, cleared=2)
    assert control.finished("mapping", "restart3") == "success"
    marks = control.marks("restart3")
    assert [marks.count(f"each[{index}]") for index in range(3)] == [1, 2, 1]
    assert marks.count("total") == 1


def test_a_setup_runs_again_with_the_work_that_needs_it(control: Control) -> None:
    _fail(control, "torn", "restart4", "inside")
    _mend(control, "restart4")
    _restart(control, "torn", "restart4", failed=1, cleared=3)
    assert control.finished("torn", "restart4") == "success"
    assert control.marks("restart4") == ["up", "inside", "down"] * 2


def test_a_failed_task_in_a_group_runs_again(control: Control) -> None:
    _fail(control, "grouped", "restart5", "extract")
    _mend(control, "restart5")
    _restart(control, "grouped", "restart5", failed=1, cleared=3)
    assert control.finished("grouped", "restart5") == "success"


def test_each_try_stays_in_the_history(control: Control) -> None:
    _fail(control, "chain", "restart6", "b")
    _mend(control, "restart6")
    _restart(control, "chain", "restart6", failed=1, cleared=2)
    assert control.finished("chain", "restart6") == "success"
    tries = control.runs_of("chain", "/restart6/taskInstances/b/tries")["task_instances"]
    assert [(one["try_number"], one["state"]) for one in tries] == [(1, "failed"), (2, "success")]


def test_the_older_get_form_works_and_says_what_replaces_it(control: Control) -> None:
    _fail(control, "chain", "restart7", "c")
    _mend(control, "restart7")
    answer = control.api.get("/restart_failed_task?dag_id=chain&run_id=restart7")
    assert answer.json()["message"] == {"failed_task_count": 1, "clear_task_count": 1}
    assert answer.headers["link"].startswith("</api/v1/xtended/restart_failed_task>")
    assert control.finished("chain", "restart7") == "success"


def test_a_run_without_failed_tasks_is_not_found(control: Control) -> None:
    control.trigger("chain", "restart8")
    assert control.finished("chain", "restart8") == "success"
    answer = control.api.post("/restart_failed_task", params={"dag_id": "chain", "run_id": "restart8"})
    assert "no failed tasks" in problem(answer, 404, "not-found")["detail"]
