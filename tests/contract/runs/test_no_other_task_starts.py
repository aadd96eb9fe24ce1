"""`run_task_instance` against a scheduler that runs flat out: what was not asked for never starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from contract.checks import success
from contract.runs.conftest import Control, until

RUNS = 200
CLIENTS = 4


def test_no_task_starts_that_was_not_asked_for(control: Control) -> None:
    # `end` is an empty operator: the scheduler ends it by itself, and has all its time for other tasks.
    wanted = {f"flat{number}": "bottom" if number % 20 == 0 else "end" for number in range(RUNS)}
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = clients.map(lambda item: control.run_selected("diamond", *item), wanted.items())
        for answer in answers:
            success(answer)
    until(
        lambda: control.runs_of("diamond", state=["queued", "running"])["total_entries"],
        lambda unfinished: unfinished == 0,
        lambda: control.runs_of("diamond", state=["queued", "running"]),
    )
    for run_id, task in wanted.items():
        ran = {
            one["task_id"]: one["try_number"] for one in control.tasks("diamond", run_id) if one["try_number"]
        }
        assert ran == {task: 1}
        assert control.marks(run_id) == ([] if task == "end" else ["bottom"])
