"""The process of one task on Airflow 3: loads its DAG file, and runs the task or renders its templates."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from airflow._shared.secrets_masker import redact
from airflow.cli.commands.task_command import _get_template_context, _get_ti, task_test
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.models.dag import DagModel
from airflow.models.renderedtifields import get_serialized_template_fields
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session
from sqlalchemy import select

from xtended.airflow_host.airflow3.catalogue import file_of
from xtended.airflow_host.task_orders import TaskOrder, carry_out


def work(order: TaskOrder) -> Mapping[str, Any]:
    dag = _load(order.dag_id)
    if order.what == "render":
        return {"fields": _render(dag, order)}
    task_test(
        Namespace(
            bundle_name=None,
            dag_id=order.dag_id,
            task_id=order.task_id,
            map_index=order.map_index,
            logical_date_or_run_id=order.run_id,
            task_params=json.dumps(order.params) if order.params else None,
            env_vars=None,
            post_mortem=False,
        ),
        dag,
    )
    mine = (TaskInstance.dag_id == order.dag_id, TaskInstance.run_id == order.run_id)
    with create_session() as session:
        state = session.scalar(
            select(TaskInstance.state).where(
                *mine, TaskInstance.task_id == order.task_id, TaskInstance.map_index == order.map_index
            )
        )
    return {"state": None if state is None else str(state)}


def _load(dag_id: str) -> Any:
    """The DAG from its own file; Airflow's command line would load every file of the bundle."""
    with create_session() as session:
        row = session.execute(
            select(DagModel.bundle_name, DagModel.relative_fileloc).where(DagModel.dag_id == dag_id)
        ).one()
    bundle = DagBundlesManager().get_bundle(row.bundle_name)
    bundle.initialize()
    file = bundle.path / file_of(row.relative_fileloc)
    bag = BundleDagBag(dag_folder=str(file), bundle_path=bundle.path, bundle_name=bundle.name)
    if dag_id not in bag.dags:
        errors = "\n".join(bag.import_errors.values())
        raise LookupError(f"{file.name} does not define DAG {dag_id!r}. {errors}".strip())
    return bag.dags[dag_id]


def _render(dag: Any, order: TaskOrder) -> Mapping[str, Any]:
    scheduled = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    task = dag.get_task(order.task_id)
    with create_session() as session:
        instance, _ = _get_ti(
            scheduled.get_task(order.task_id),
            order.map_index,
            logical_date_or_run_id=order.run_id,
            create_if_necessary="memory",
            session=session,
        )
        context = _get_template_context(instance, task)
        task.render_template_fields(context)
        done: Any = context["task"]
        rendered = get_serialized_template_fields(done)
        # The instance was brought in line with the file, which is not for the database.
        session.rollback()
    return {name: redact(value, name) for name, value in rendered.items()}


if __name__ == "__main__":
    carry_out(work)
