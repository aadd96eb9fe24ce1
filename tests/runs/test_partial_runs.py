"""The states that let chosen tasks run, and the choices that no states can let run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.test_shapes import shape, shapes
from xtended.airflow_host.shapes import DagShape
from xtended.partial_runs import ends, selected_tasks
from xtended.problems import BadRequest, Conflict, NotFound

DIAMOND = shape({"top": "left right", "left": "bottom", "right": "bottom"})


def states(dag: DagShape, *selected: str) -> dict[str, str]:
    return {task: state for task, (state, _) in ends(dag, frozenset(selected)).items()}


@given(shapes(), st.data())
def test_every_task_either_runs_or_has_an_end(dag: DagShape, data: st.DataObject) -> None:
    selected = frozenset(data.draw(st.sets(st.sampled_from(sorted(dag.tasks)), min_size=1)))
    try:
        found = ends(dag, selected)
    except Conflict:
        assert (dag.ancestors(selected) - selected) & dag.descendants(selected)
        return
    assert found.keys() == dag.tasks.keys() - selected
    for task, (state, note) in found.items():
        ancestor = task in dag.ancestors(selected)
        assert state == ("success" if ancestor else "skipped")
        assert (note is not None) is ancestor


def test_tasks_beside_and_after_the_chosen_ones_are_skipped() -> None:
    assert states(DIAMOND, "left") == {"top": "success", "right": "skipped", "bottom": "skipped"}


@pytest.mark.parametrize(
    ("rule", "alone", "beside"),
    [
        ("all_success", "success", "success"),
        ("all_failed", "upstream_failed", "upstream_failed"),
        ("all_skipped", "skipped", "skipped"),
        ("one_failed", "upstream_failed", "success"),
        ("one_success", "success", "skipped"),
        ("one_done", "success", "skipped"),
        ("always", "success", "success"),
    ],
)
def test_an_upstream_task_gets_the_state_that_a_rule_waits_for(rule: str, alone: str, beside: str) -> None:
    dag = shape({"one": "end", "two": "end"}, {"end": rule})
    assert states(dag, "end") == {"one": alone, "two": alone}
    assert states(dag, "end", "one") == {"two": beside}


def test_a_setup_that_does_not_run_counts_as_done() -> None:
    dag = shape({"up": "work", "work": "down"}, {"down": "all_done_setup_success"}, up={"is_setup": True})
    assert states(dag, "down")["up"] == "success"
    dag = shape({"up": "mid", "mid": "work"}, {"work": "all_skipped"}, up={"is_setup": True},
                work={"setups": frozenset({"up"})})  # fmt: skip
    assert states(dag, "work") == {"up": "success", "mid": "skipped"}


def test_a_gap_an_open_mapping_and_a_contradiction_are_refused() -> None:
    with pytest.raises(Conflict, match="'left', 'right' of DAG 'dag' lie between"):
        ends(DIAMOND, frozenset({"top", "bottom"}))
    mapped = shape({"source": "each"}, each={"expands_over": frozenset({"source"}), "mapped": True})
    with pytest.raises(Conflict, match="expand over what 'source' return"):
        ends(mapped, frozenset({"each"}))
    torn = shape({"one": "a b"}, {"a": "all_success", "b": "all_failed"})
    with pytest.raises(Conflict, match="'one'"):
        ends(torn, frozenset({"a", "b"}))


def test_names_groups_and_patterns_choose_tasks() -> None:
    grouped = DagShape("dag", DIAMOND.tasks, {"sides": frozenset({"left", "right"})})
    assert selected_tasks(grouped, ["sides", "top"], None) == {"left", "right", "top"}
    assert selected_tasks(grouped, [], "o") == {"top", "bottom"}
    with pytest.raises(NotFound) as unknown:
        selected_tasks(grouped, ["y", "top", "x"], None)
    assert unknown.value.extra["task_ids"] == ["x", "y"]
    with pytest.raises(NotFound):
        selected_tasks(grouped, [], "zzz")
    for names, regex in (([], None), ([], "(")):
        with pytest.raises(BadRequest):
            selected_tasks(grouped, names, regex)
