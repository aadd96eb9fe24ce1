"""A DAG to deploy first: a TaskFlow task, then a shell command that uses its result."""

from __future__ import annotations

from airflow.decorators import dag, task

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:  # Airflow 2
    from airflow.operators.bash import BashOperator


@dag(schedule=None, catchup=False, tags=["example"])
def daily_report() -> None:
    @task
    def count_orders() -> int:
        return 42

    BashOperator(
        task_id="write_report",
        bash_command="echo 'orders today: {{ ti.xcom_pull(task_ids=\"count_orders\") }}'",
    ).set_upstream(count_orders())


daily_report()
