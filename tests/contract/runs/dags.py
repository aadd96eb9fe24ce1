"""The DAGs of the run-control tests: every task leaves its name in the file of its run when it starts."""

import os
import pathlib
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

try:
    from airflow.sdk import DAG, Param, TaskGroup, get_current_context, task
    from airflow.sdk.exceptions import AirflowSkipException

    NEWER_RULES = ["all_done_min_one_success"]
except ImportError:
    from airflow import DAG
    from airflow.decorators import task
    from airflow.exceptions import AirflowSkipException
    from airflow.models.param import Param
    from airflow.operators.python import get_current_context
    from airflow.utils.task_group import TaskGroup

    NEWER_RULES = []

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync

MARKS = pathlib.Path(os.environ.get("XTENDED_TEST_MARKS", "/nonexistent"))


def mark(run_id, name):
    with (MARKS / run_id).open("a") as file:
        file.write(name + "\n")


def work(name, run_id, conf):
    mark(run_id, name)
    if name in conf.get("fail", []) and not (MARKS / f"{run_id}.mended").exists():
        raise RuntimeError(f"{name} was told to fail")
    if name in conf.get("skip", []):
        raise AirflowSkipException(f"{name} was told to skip")
    time.sleep(conf.get("sleep", 0))


def step(name, **options):
    def run(run_id, dag_run, ti):
        label = name if ti.map_index < 0 else f"{name}[{ti.map_index}]"
        work(label, run_id, dag_run.conf or {})

    # Airflow 2 lets it pass before a task runs again that was cleared while it ran.
    options.setdefault("retry_delay", timedelta(seconds=1))
    return PythonOperator(task_id=name, python_callable=run, **options)


with DAG("diamond", schedule=None, params={"size": Param(1, type="integer")}):
    left, right = step("left"), step("right")
    step("top") >> [left, right] >> step("bottom") >> EmptyOperator(task_id="end")

with DAG("chain", schedule=None):
    step("a") >> step("b") >> step("c")

with DAG("rules", schedule=None):
    first, second = step("first"), step("second")
    for rule in (
        "all_success",
        "all_failed",
        "all_done",
        "one_success",
        "one_failed",
        "one_done",
        "none_failed",
        "none_failed_min_one_success",
        "none_skipped",
        "all_skipped",
        "always",
        *NEWER_RULES,
    ):
        [first, second] >> step(rule, trigger_rule=rule)

with DAG("branching", schedule=None):

    @task.branch
    def decide():
        mark(get_current_context()["run_id"], "decide")
        return "yes"

    choice = decide()
    yes, no = step("yes"), step("no")
    choice >> [yes, no] >> step("after", trigger_rule="none_failed_min_one_success")

with DAG("mapping", schedule=None):

    @task
    def numbers(run_id=None):
        mark(run_id, "numbers")
        return [0, 1, 2]

    @task
    def each(number, run_id=None, dag_run=None, ti=None):
        work(f"each[{ti.map_index}]", run_id, dag_run.conf or {})
        return number

    @task
    def total(found, run_id=None):
        mark(run_id, "total")

    total(each.expand(number=numbers()))

    @task
    def fixed(number, run_id=None, ti=None):
        mark(run_id, f"fixed[{ti.map_index}]")

    fixed.expand(number=[10, 20])

with DAG("grouped", schedule=None):
    with TaskGroup("etl") as etl:
        step("extract") >> step("load")
    step("before") >> etl >> step("report")

with DAG("retried", schedule=None):
    step("stubborn", retries=5, retry_delay=timedelta(seconds=300))

with DAG("patient", schedule=None):
    step("waits", retry_delay=timedelta(seconds=300))

with DAG("deferred", schedule=None):
    DateTimeSensorAsync(task_id="sleeper", target_time="2100-01-01T00:00:00+00:00") >> step("later")

with DAG("asked", schedule=None):
    try:
        from airflow.providers.standard.operators.hitl import ApprovalOperator
    except Exception:  # noqa: BLE001 - Airflow 2 has nothing that asks people
        question = DateTimeSensorAsync(task_id="question", target_time="2100-01-01T00:00:00+00:00")
    else:
        question = ApprovalOperator(task_id="question", subject="Go on?")
    question >> step("answered")

with DAG("torn", schedule=None):
    up = step("up").as_setup()
    down = step("down").as_teardown(setups=up)
    up >> step("inside") >> down

with DAG("daily", schedule="@daily", start_date=datetime(2015, 1, 1, tzinfo=UTC), catchup=False):
    step("one") >> step("two") >> step("three")

with DAG("tried", schedule=None, params={"word": "plain"}):
    BashOperator(
        task_id="hello",
        bash_command='echo "hello {{ ds }} {{ params.word }}"',
        env={"MY_PASSWORD": "{{ 'hunt' ~ 'er2' }}"},
        append_env=True,
    )
    BashOperator(task_id="fails", bash_command="echo going wrong; exit 3")
    BashOperator(task_id="slow", bash_command='echo $$ > "$XTENDED_TEST_MARKS/slow"; echo begun; sleep 300')
    BashOperator(task_id="bad_template", bash_command="{{ nothing_of.the_kind }}")
    step("never")

with DAG("test_dag", schedule=None):
    step("test_task") >> step("next_task")

with DAG("dag_test", schedule=None):
    for number in ("", "_2", "_3", "_4", "_5", "_6"):
        step(f"task_test{number}")

with DAG("test_id", schedule=None):
    step("only")

with DAG("value", schedule=None):
    step("value")

with DAG("bounded", schedule=None):
    step("retired", end_date=datetime(2020, 1, 1, tzinfo=UTC))

with DAG("long", schedule=None):
    BashOperator(task_id="bash", bash_command='echo bash >> "$XTENDED_TEST_MARKS/{{ run_id }}"; sleep 300')

    class Stubborn(PythonOperator):
        """Starts a process of its own, and says so when it is killed."""

        def on_kill(self):
            mark(os.environ["AIRFLOW_CTX_DAG_RUN_ID"], "on_kill")

    def sleep(run_id):
        mark(run_id, "python")
        subprocess.run([sys.executable, "-c", "import time; time.sleep(300)"], check=False)

    Stubborn(task_id="python", python_callable=sleep)
