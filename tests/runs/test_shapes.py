"""What depends on what in a DAG."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xtended.airflow_host.shapes import DagShape, TaskShape


def shape(edges: dict[str, str], rules: dict[str, str] | None = None, **more: dict[str, object]) -> DagShape:
    """A DAG from each task's downstream tasks, written with spaces between them."""
    names = {*edges, *(child for children in edges.values() for child in children.split())}
    return DagShape(
        "dag",
        {
            name: TaskShape(
                task_id=name,
                upstream=frozenset(parent for parent, children in edges.items() if name in children.split()),
                downstream=frozenset(edges.get(name, "").split()),
                trigger_rule=(rules or {}).get(name, "all_success"),
                **more.get(name, {}),  # type: ignore[arg-type]
            )
            for name in names
        },
    )


@st.composite
def shapes(draw: st.DrawFn) -> DagShape:
    count = draw(st.integers(1, 12))
    edges = {
        f"t{one}": " ".join(f"t{other}" for other in range(one + 1, count) if draw(st.booleans()))
        for one in range(count)
    }
    return shape(edges)


@given(shapes())
def test_every_task_comes_after_what_it_depends_on(dag: DagShape) -> None:
    order = dag.in_order()
    assert sorted(order) == sorted(dag.tasks)
    for task in dag.tasks.values():
        assert all(order.index(parent) < order.index(task.task_id) for parent in task.upstream)


@given(shapes())
def test_ancestors_and_descendants_mirror_each_other(dag: DagShape) -> None:
    for one in dag.tasks:
        for other in dag.descendants([one]):
            assert one in dag.ancestors([other])
            assert one != other


def test_an_instance_in_a_mapped_group_pulls_in_its_own_map_index_alone() -> None:
    inside = {"mapped_group": "group", "mapped": True}
    dag = shape({"start": "one", "one": "two", "two": "after"}, one=inside, two=inside)
    assert dag.downstream_instances([("one", 3)]) == {("two", 3), ("after", None)}
    assert dag.downstream_instances([("start", -1)]) == {("one", None), ("two", None), ("after", None)}
