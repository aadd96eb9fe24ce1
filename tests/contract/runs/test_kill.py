"""`kill_running_tasks`: unfinished tasks end failed, without a retry, and their processes with them."""

from __future__ import annotations

from typing import Any

from contract.checks import success
from contract.runs.conftest import Control, until


def _kill(control: Control, dag_id: str, run_id: str, **more: Any) -> dict[str, str | None]:
    query = {"dag_id": dag_id, "run_id": run_id, **more}
    body = success(control.api.post("/kill_running_tasks", params=query))
    assert body["message"] == f"tasks in {run_id} killed!!"
    assert {task["process"] for task in body["tasks"] if task["state_before"] == "running"} <= {"gone", None}
    return {task["task_id"]: task["state_before"] for task in body["tasks"]}


def _sleepers(control: Control) -> set[int]:
    """Processes of the tasks of `long`, by pid. One that has ended has no command line."""
    commands = control.server.commands()
    return {pid for pid, told in commands.items() if "sleep 300" in told or "time.sleep(300)" in told}


def test_the_processes_are_gone_and_on_kill_was_called(control: Control) -> None:
    control.trigger("long", "kill1")
    until(
        lambda: control.marks("kill1"), lambda marks: len(marks) == 2, lambda: control.states("long", "kill1")
    )
    assert len(_sleepers(control)) >= 2
    assert _kill(control, "long", "kill1", wait="true") == {"bash": "running", "python": "running"}
    assert _sleepers(control) == set()
    assert control.finished("long", "kill1") == "failed"
    assert "on_kill" in control.marks("kill1")
    states = control.states("long", "kill1")
    assert (states["bash"], states["python"]) == ("failed", "failed")


def test_one_task_is_killed_alone(control: Control) -> None:
    control.trigger("long", "kill2")
    until(
        lambda: control.marks("kill2"), lambda marks: len(marks) == 2, lambda: control.states("long", "kill2")
    )
    assert _kill(control, "long", "kill2", task_id="bash", wait="true") == {"bash": "running"}
    assert control.states("long", "kill2")["python"] == "running"
    assert _kill(control, "long", "kill2", task_id="python", wait="true") == {"python": "running"}


def test_a_task_that_waits_for_its_retry_fails_for_good(control: Control) -> None:
    control.trigger("retried", "kill3", {"fail": ["stubborn"]})
    control.reach("retried", "kill3", stubborn="up_for_retry")
    assert _kill(control, "retried", "kill3") == {"stubborn": "up_for_retry"}
    assert control.finished("retried", "kill3") == "failed"
    assert control.marks("kill3") == ["stubborn"]


def test_a_deferred_task_is_killed(control: Control) -> None:
    control.trigger("deferred", "kill4")
    control.reach("deferred", "kill4", sleeper="deferred")
    assert _kill(control, "deferred", "kill4", task_id="sleeper") == {"sleeper": "deferred"}
    assert control.finished("deferred", "kill4") == "failed"
    assert control.states("deferred", "kill4") == {"sleeper": "failed", "later": "upstream_failed"}


def test_finished_tasks_keep_their_state(control: Control) -> None:
    control.trigger("chain", "kill5")
    assert control.finished("chain", "kill5") == "success"
    assert _kill(control, "chain", "kill5") == {}
    assert set(control.states("chain", "kill5").values()) == {"success"}


def test_a_task_that_waits_for_somebodys_answer_is_ended(control: Control) -> None:
    control.trigger("asked", "kill9")
    until(
        lambda: control.states("asked", "kill9")["question"],
        lambda state: state in ("awaiting_input", "deferred"),
        lambda: control.states("asked", "kill9"),
    )
    assert _kill(control, "asked", "kill9")["question"] in ("awaiting_input", "deferred")
    assert control.finished("asked", "kill9") == "failed"
    assert control.marks("kill9") == []


def test_what_is_killed_can_be_restarted_at_once(control: Control) -> None:
    control.trigger("long", "kill10")
    until(
        lambda: control.marks("kill10"),
        lambda marks: len(marks) == 2,
        lambda: control.states("long", "kill10"),
    )
    earlier = until(
        lambda: _sleepers(control), lambda found: len(found) >= 2, lambda: control.server.commands()
    )
    assert _kill(control, "long", "kill10") == {"bash": "running", "python": "running"}
    answer = control.api.post("/restart_failed_task", params={"dag_id": "long", "run_id": "kill10"})
    assert answer.status_code == 200, answer.text
    # Two tries of a task are never at work at the same time, and the earlier one can't fail the later one.
    assert earlier & _sleepers(control) == set()
    until(
        lambda: control.marks("kill10"),
        lambda marks: (marks.count("bash"), marks.count("python")) == (2, 2),
        lambda: control.states("long", "kill10"),
    )
    assert _kill(control, "long", "kill10", wait="true") == {"bash": "running", "python": "running"}
