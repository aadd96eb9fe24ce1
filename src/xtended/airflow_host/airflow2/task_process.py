"""The process of one task on Airflow 2: loads its DAG file, and runs the task or renders its templates."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.cli.commands.task_command import _get_ti, task_test
from airflow.models.dag import DagModel
from airflow.models.dagbag import DagBag
from airflow.models.renderedtifields import get_serialized_template_fields
from airflow.utils.file import correct_maybe_zipped
from airflow.utils.log.secrets_masker import redact
from airflow.utils.session import create_session
from sqlalchemy import select

from xtended.airflow_host.task_orders import TaskOrder, carry_out


def work(order: TaskOrder) -> Mapping[str, Any]:
    dag = _load(order.dag_id)
    if order.what == "render":
        return {"fields": _render(dag, order)}
    task_test(
        Namespace(
            subdir=None,
            dag_id=order.dag_id,
            task_id=order.task_id,
            map_index=order.map_index,
            execution_date_or_run_id=order.run_id,
            task_params=json.dumps(order.params) if order.params else None,
            env_vars=None,
            dry_run=False,
            post_mortem=False,
        ),
        dag=dag,
    )
    # A task that fails raises.
    return {"state": "success"}


def _load(dag_id: str) -> Any:
    """The DAG from its own file; Airflow's command line would load the whole folder."""
    with create_session() as session:
        fileloc = session.scalar(select(DagModel.fileloc).where(DagModel.dag_id == dag_id))
    file = correct_maybe_zipped(fileloc)
    bag = DagBag(dag_folder=file, include_examples=False, read_dags_from_db=False)
    if dag_id not in bag.dags:
        errors = "\n".join(bag.import_errors.values())
        raise LookupError(f"{Path(str(file)).name} does not define DAG {dag_id!r}. {errors}".strip())
    return bag.dags[dag_id]


def _render(dag: Any, order: TaskOrder) -> Mapping[str, Any]:
    instance: Any
    instance, _ = _get_ti(
        dag.get_task(order.task_id),
        order.map_index,
        exec_date_or_run_id=order.run_id,
        create_if_necessary="memory",
    )
    instance.render_templates()
    return {
        name: redact(value, name) for name, value in get_serialized_template_fields(instance.task).items()
    }


if __name__ == "__main__":
    carry_out(work)
