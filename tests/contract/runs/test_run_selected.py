"""`run_task_instance`: the chosen tasks run, in order, and no other ever starts."""

from __future__ import annotations

import pytest

from contract import hosts
from contract.checks import problem, success
from contract.runs.conftest import Control

RULES = (
    "all_success", "all_failed", "all_done", "one_success", "one_failed", "one_done", "none_failed",
    "none_failed_min_one_success", "none_skipped", "all_skipped", "always", *hosts.installed().newer_rules,
)  # fmt: skip


def _run(
    control: Control, dag_id: str, run_id: str, tasks: str, ran: list[str], **more: str
) -> dict[str, str | None]:
    body = success(control.run_selected(dag_id, run_id, tasks, **more))
    assert body["run_id"] == run_id
    assert control.finished(dag_id, run_id) == "success", control.states(dag_id, run_id)
    assert control.marks(run_id) == ran
    return control.states(dag_id, run_id)


def test_one_task_runs_and_its_ancestors_say_why_they_did_not(control: Control) -> None:
    states = _run(control, "diamond", "only1", "bottom", ["bottom"])
    assert states == {
        "top": "success", "left": "success", "right": "success", "bottom": "success", "end": "skipped",
    }  # fmt: skip
    notes = {task["task_id"]: task["note"] for task in control.tasks("diamond", "only1")}
    assert "'bottom' can start" in notes["left"]
    assert notes["end"] is None


def test_chosen_tasks_run_in_their_order(control: Control) -> None:
    assert _run(control, "chain", "only2", "b,a", ["a", "b"])["c"] == "skipped"


@pytest.mark.parametrize("rule", RULES)
def test_a_chosen_task_runs_whatever_its_trigger_rule(control: Control, rule: str) -> None:
    states = _run(control, "rules", f"only-{rule}", rule, [rule])
    assert {state for task, state in states.items() if task not in ("first", "second", rule)} == {"skipped"}


@pytest.mark.parametrize("rule", ["one_success", "one_done", "none_failed_min_one_success", "all_done"])
def test_a_chosen_task_waits_for_a_chosen_one_whatever_its_rule(control: Control, rule: str) -> None:
    _run(control, "rules", f"wait-{rule}", f"first,{rule}", ["first", rule], conf='{"sleep": 1}')


def test_the_branch_not_taken_runs_when_it_is_chosen(control: Control) -> None:
    _run(control, "branching", "only3", "no,after", ["no", "after"])


def test_a_task_group_and_a_pattern_choose_tasks(control: Control) -> None:
    _run(control, "grouped", "only4", "etl", ["extract", "load"])
    assert _run(control, "grouped", "only5", "", ["report"], regex="^rep")["etl.load"] == "success"


def test_a_mapped_task_runs_in_all_its_instances(control: Control) -> None:
    body = success(control.run_selected("mapping", "only6", "fixed"))
    assert body["tasks"] == ["fixed"]
    assert control.finished("mapping", "only6") == "success"
    assert sorted(control.marks("only6")) == ["fixed[0]", "fixed[1]"]


def test_a_mapped_task_runs_with_what_it_expands_over(control: Control) -> None:
    success(control.run_selected("mapping", "only7", "numbers,each"))
    assert control.finished("mapping", "only7") == "success"
    assert sorted(control.marks("only7")) == ["each[0]", "each[1]", "each[2]", "numbers"]
    refused = problem(control.run_selected("mapping", "only8", "each"), 409, "conflict")
    assert refused["task_ids"] == ["numbers"]


def test_work_runs_without_its_setup_and_teardown(control: Control) -> None:
    states = _run(control, "torn", "only9", "inside", ["inside"])
    assert states == {"up": "success", "inside": "success", "down": "skipped"}


def test_a_task_left_out_between_chosen_ones_is_refused(control: Control) -> None:
    refused = problem(control.run_selected("chain", "only10", "a,c"), 409, "conflict")
    assert refused["task_ids"] == ["b"]
    assert control.server.airflow.api.get("/dags/chain/dagRuns/only10").status_code == 404


def test_trigger_rules_that_contradict_each_other_are_refused(control: Control) -> None:
    refused = problem(control.run_selected("rules", "only11", "all_failed,all_success"), 409, "conflict")
    assert set(refused["task_ids"]) == {"first", "all_failed", "all_success"}


def test_a_task_that_does_not_run_on_the_date_is_refused(control: Control) -> None:
    refused = problem(control.run_selected("bounded", "only12", "retired"), 409, "conflict")
    assert refused["task_ids"] == ["retired"]
    assert control.server.airflow.api.get("/dags/bounded/dagRuns/only12").status_code == 404


def test_bad_requests_name_what_is_wrong_and_leave_no_run(control: Control) -> None:
    unknown = problem(control.run_selected("chain", "bad", "a,x,y"), 404, "not-found")
    assert unknown["task_ids"] == ["x", "y"]
    problem(control.run_selected("chain", "bad", ""), 400, "bad-request")
    problem(control.run_selected("chain", "bad", "a", conf="[1]"), 400, "bad-request")
    problem(control.run_selected("chain", "bad", "a", execution_date="soon"), 400, "bad-request")
    problem(control.run_selected("chain", "bad/../run", "a"), 400, "bad-request")
    problem(control.run_selected("diamond", "bad", "top", conf='{"size": "wide"}'), 400, "bad-request")
    problem(control.run_selected("nowhere", "bad", "a"), 404, "not-found")
    assert control.server.airflow.api.get("/dags/chain/dagRuns/bad").status_code == 404
    assert control.server.airflow.api.get("/dags/diamond/dagRuns/bad").status_code == 404


def test_a_run_id_is_used_once(control: Control) -> None:
    success(control.run_selected("chain", "twice", "a"))
    assert "'twice'" in problem(control.run_selected("chain", "twice", "a"), 409, "conflict")["detail"]
    assert control.finished("chain", "twice") == "success"


def test_an_id_is_made_up_where_none_is_given(control: Control) -> None:
    answer = control.api.post("/run_task_instance", files={"dag_id": (None, "chain"), "tasks": (None, "a")})
    run_id = success(answer)["run_id"]
    assert control.finished("chain", run_id) == "success"
    assert control.marks(run_id) == ["a"]
