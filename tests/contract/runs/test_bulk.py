"""`runs/bulk`: many runs with one request, each in a transaction of its own, and an answer for each item."""

from __future__ import annotations

from typing import Any

import httpx

from contract.checks import problem, success
from contract.runs.conftest import Control


def _bulk(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    answer = success(client.post("/runs/bulk", json=body))
    results: list[dict[str, Any]] = answer["results"]
    assert answer["done"] == sum(1 for result in results if result["done"])
    assert answer["failed"] == len(results) - answer["done"]
    for result in results:
        assert result["changed"] == len(result["tasks"])
        assert result["done"] is (result["problem"] is None)
    return results


def _item(action: str, run_id: str, dag_id: str = "chain", **more: Any) -> dict[str, Any]:
    return {"action": action, "dag_id": dag_id, "run_id": run_id, **more}


def _failed(control: Control, run_id: str, *fail: str) -> str:
    control.trigger("chain", run_id, {"fail": list(fail or ("b",))})
    assert control.finished("chain", run_id) == "failed"
    return run_id


def test_each_action_does_what_it_says_to_its_own_run(control: Control) -> None:
    actions = ("restart_failed", "clear", "mark_success", "mark_failed")
    runs = {action: f"bulk-{action}" for action in actions}
    for run_id in runs.values():
        _failed(control, run_id)
        (control.started / f"{run_id}.mended").touch()
    results = _bulk(
        control.api,
        items=[
            _item("restart_failed", runs["restart_failed"]),
            _item("clear", runs["clear"], task_id="b"),
            _item("mark_success", runs["mark_success"], task_id="b"),
            _item("mark_failed", runs["mark_failed"], task_id="a"),
        ],
    )
    assert [result["tasks"] for result in results] == [["b", "c"], ["b"], ["b"], ["a"]]
    assert control.finished("chain", runs["restart_failed"]) == "success"
    assert control.marks(runs["restart_failed"]) == ["a", "b", "b", "c"]
    assert control.finished("chain", runs["clear"]) == "failed"
    assert control.marks(runs["clear"]) == ["a", "b", "b"]
    # Past a task that is marked successful, the run goes on.
    assert control.finished("chain", runs["mark_success"]) == "success"
    assert control.marks(runs["mark_success"]) == ["a", "b", "c"]
    assert control.states("chain", runs["mark_failed"])["a"] == "failed"


def test_a_whole_run_is_killed_skipped_or_marked(control: Control) -> None:
    for run_id in ("bulk-kill", "bulk-skip", "bulk-success", "bulk-failed"):
        control.trigger("deferred", run_id)
        control.reach("deferred", run_id, sleeper="deferred")
    results = _bulk(
        control.api,
        items=[
            _item("kill", "bulk-kill", "deferred"),
            _item("skip", "bulk-skip", "deferred"),
            _item("mark_success", "bulk-success", "deferred"),
            _item("mark_failed", "bulk-failed", "deferred"),
        ],
    )
    assert all(result["tasks"] == ["later", "sleeper"] for result in results), results
    ends = {
        "bulk-kill": ("failed", {"sleeper": "failed", "later": "failed"}),
        "bulk-skip": ("success", {"sleeper": "skipped", "later": "skipped"}),
        "bulk-success": ("success", {"sleeper": "success", "later": "success"}),
        "bulk-failed": ("failed", {"sleeper": "failed", "later": "skipped"}),
    }
    for run_id, (state, tasks) in ends.items():
        assert control.finished("deferred", run_id) == state
        assert control.states("deferred", run_id) == tasks
        assert control.marks(run_id) == []


def test_the_items_of_one_run_are_done_together_or_not_at_all(control: Control) -> None:
    good, bad = _failed(control, "bulk-good"), _failed(control, "bulk-bad")
    before = control.states("chain", bad)
    results = _bulk(
        control.api,
        items=[
            _item("mark_success", bad, task_id="b"),
            _item("mark_success", good, task_id="b"),
            _item("skip", bad, task_id="never"),
            _item("skip", "bulk-nowhere"),
            _item("skip", "bulk-good", "no_such_dag"),
        ],
    )
    assert [result["done"] for result in results] == [False, True, False, False, False]
    assert [result["problem"]["status"] for result in results if not result["done"]] == [409, 404, 404, 404]
    assert "'never'" in results[2]["problem"]["detail"]
    assert control.states("chain", bad) == before
    assert control.finished("chain", good) == "success"


def test_a_filter_finds_runs_by_state_and_date_and_a_dry_run_changes_nothing(control: Control) -> None:
    for day in (1, 2, 3):
        fields = {
            "dag_id": "chain",
            "run_id": f"bulk-day{day}",
            "logical_date": f"2020-03-{day:02}T00:00:00Z",
            "conf": '{"fail": ["b"]}' if day != 2 else "{}",
        }
        files = {name: (None, text) for name, text in fields.items()}
        success(control.api.post("/trigger_dag", files=files))
    for day, state in {1: "failed", 2: "success", 3: "failed"}.items():
        assert control.finished("chain", f"bulk-day{day}") == state
        (control.started / f"bulk-day{day}.mended").touch()
    dates = {"start_date": "2020-03-01", "end_date": "2020-03-02"}
    wanted = {"action": "restart_failed", "filter": {"dag_ids": ["chain"], "states": ["failed"], **dates}}
    for _ in range(2):
        (result,) = _bulk(control.api, dry_run=True, **wanted)
        assert (result["run_id"], result["tasks"]) == ("bulk-day1", ["b", "c"])
    assert control.finished("chain", "bulk-day1") == "failed"
    (result,) = _bulk(control.api, **wanted)
    assert result["run_id"] == "bulk-day1"
    assert control.finished("chain", "bulk-day1") == "success"
    assert control.finished("chain", "bulk-day3") == "failed"


def test_bad_requests_change_nothing(control: Control) -> None:
    run_id = _failed(control, "bulk-refused")
    item = _item("skip", run_id)
    for body in (
        {},
        {"items": []},
        {"items": [item] * 1001},
        {"items": [item | {"action": "delete"}]},
        {"items": [item | {"surplus": 1}]},
        {"items": [item], "action": "skip", "filter": {"dag_ids": ["chain"]}},
        {"action": "skip"},
        {"action": "skip", "filter": {"dag_ids": ["chain"], "start_date": "soon"}},
        {"action": "skip", "filter": {"dag_ids": []}},
        {"action": "skip", "filter": {"dag_ids": ["chain"], "states": ["deferred"]}},
        [],
    ):
        problem(control.api.post("/runs/bulk", json=body), 400, "bad-request")
    unknown = {"action": "skip", "filter": {"dag_ids": ["chain", "no_such_dag"]}}
    assert (
        "'no_such_dag'" in problem(control.api.post("/runs/bulk", json=unknown), 404, "not-found")["detail"]
    )
    headers = {"Content-Type": "application/json"}
    for content in (b"{", b"\xff\xfe", b"[" * 100_000):
        answer = control.api.post("/runs/bulk", content=content, headers=headers)
        problem(answer, 400, "bad-request")
    headers = {"Content-Type": "application/json; charset=nonsense"}
    assert control.api.post("/runs/bulk", content=b"{}", headers=headers).status_code == 400
    assert control.api.post("/runs/bulk", data={"action": "skip"}).status_code == 415
    problem(control.server.client("viewer").post("/runs/bulk", json={"items": [item]}), 403, "forbidden")
    assert set(control.states("chain", run_id).values()) == {"success", "failed", "upstream_failed"}
