"""dags, and the runs of one."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from xtended_cli import output
from xtended_cli.failures import REFUSED, absent, reported
from xtended_cli.output import Json
from xtended_cli.session import Session, connect

app = typer.Typer(no_args_is_help=True, help="Start, watch and mend the runs of a DAG.")

DagId = Annotated[str, typer.Argument(metavar="DAG_ID", help="The DAG.")]
RunId = Annotated[str | None, typer.Option(help="The run; else the newest one.")]
_POLL_SECONDS = 1.0


@reported
def dags(context: typer.Context, *, as_json: Json = False) -> None:
    """List the DAGs that may be read."""
    from airflow_xtended_client import RunsApi

    answer = connect(context).call(lambda client: RunsApi(client).list_dags())
    if as_json:
        output.print_json(output.plain(answer))
        return
    output.table(
        ("DAG", "PAUSED", "FILE", "OWNERS"),
        (
            (dag.dag_id, "yes" if dag.paused else "", dag.file or "", ", ".join(dag.owners))
            for dag in answer.dags
        ),
    )


@app.command()
@reported
def trigger(
    context: typer.Context,
    dag_id: DagId,
    *,
    run_id: Annotated[str | None, typer.Option(help="What the run is to be called.")] = None,
    conf: Annotated[str | None, typer.Option(help="Its configuration, a JSON object.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; fail where it fails.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait at most.")] = 3600,
    as_json: Json = False,
) -> None:
    """Start a run."""
    from airflow_xtended_client import RunsApi

    session = connect(context)
    started = session.call(
        lambda client: RunsApi(client).trigger_dag(dag_id=dag_id, run_id=run_id, conf=conf)
    )
    if not wait:
        _tell(started, as_json=as_json)
        return
    end = time.monotonic() + timeout
    while True:
        state = session.call(lambda client: RunsApi(client).dag_state(dag_id=dag_id, run_id=started.run_id))
        if state.state not in ("queued", "running") or time.monotonic() >= end:
            break
        time.sleep(_POLL_SECONDS)
    if as_json:
        output.print_json(output.plain(state))
    else:
        output.say(f"{started.run_id}: {state.state}")
    if state.state != "success":
        raise typer.Exit(REFUSED)


@app.command()
@reported
def state(context: typer.Context, dag_id: DagId, *, run_id: RunId = None, as_json: Json = False) -> None:
    """Say how a run is doing."""
    from airflow_xtended_client import RunsApi

    session = connect(context)
    run = _meant(session, dag_id, run_id)
    answer = session.call(lambda client: RunsApi(client).dag_state(dag_id=dag_id, run_id=run))
    if as_json:
        output.print_json(output.plain(answer))
    else:
        output.say(f"{answer.run_id}: {answer.state}")


@app.command("list")
@reported
def list_runs(
    context: typer.Context,
    dag_id: DagId,
    *,
    state: Annotated[
        str | None, typer.Option(help="Those that are queued, running, success or failed.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 25,
    as_json: Json = False,
) -> None:
    """List the runs of a DAG, the newest first."""
    from airflow_xtended_client import RunsApi

    answer = connect(context).call(
        lambda client: RunsApi(client).list_runs(dag_id=dag_id, state=state, limit=limit)
    )
    if as_json:
        output.print_json(output.plain(answer))
        return
    output.table(
        ("RUN", "STATE", "LOGICAL DATE", "START", "END"),
        (
            (run.run_id, run.state, run.execution_date or "", run.start_date or "", run.end_date or "")
            for run in answer.runs
        ),
    )


@app.command()
@reported
def restart(context: typer.Context, dag_id: DagId, *, run_id: RunId = None, as_json: Json = False) -> None:
    """Run the failed tasks of a run again, and what comes after them."""
    from airflow_xtended_client import RunsApi

    session = connect(context)
    run = _meant(session, dag_id, run_id)
    answer = session.call(lambda client: RunsApi(client).restart_failed_task(dag_id=dag_id, run_id=run))
    if as_json:
        output.print_json(output.plain(answer))
    else:
        output.say(f"{answer.failed_task_count} failed, {answer.clear_task_count} to run again")


@app.command()
@reported
def kill(
    context: typer.Context,
    dag_id: DagId,
    *,
    run_id: RunId = None,
    task_id: Annotated[str | None, typer.Option(help="This task alone.")] = None,
    as_json: Json = False,
) -> None:
    """End the running tasks of a run."""
    from airflow_xtended_client import TasksApi

    session = connect(context)
    run = _meant(session, dag_id, run_id)
    answer = session.call(
        lambda client: TasksApi(client).kill_running_tasks(dag_id=dag_id, run_id=run, task_id=task_id)
    )
    _tell(answer, as_json=as_json)


@app.command()
@reported
def skip(
    context: typer.Context,
    dag_id: DagId,
    task_id: Annotated[str, typer.Argument(metavar="TASK_ID", help="The task.")],
    *,
    run_id: RunId = None,
    downstream: Annotated[bool, typer.Option("--downstream", help="And all tasks after it.")] = False,
    as_json: Json = False,
) -> None:
    """Skip a task of a run."""
    from airflow_xtended_client import TasksApi

    session = connect(context)
    run = _meant(session, dag_id, run_id)
    answer = session.call(
        lambda client: TasksApi(client).skip_task_instance(
            dag_id=dag_id, task_id=task_id, run_id=run, include_downstream=downstream
        )
    )
    _tell(answer, as_json=as_json)


@app.command()
@reported
def run(
    context: typer.Context,
    dag_id: DagId,
    *,
    tasks: Annotated[str | None, typer.Option(help="Their ids, separated by commas.")] = None,
    regex: Annotated[str | None, typer.Option(help="Tasks whose ids match.")] = None,
    run_id: Annotated[str | None, typer.Option(help="What the run is to be called.")] = None,
    conf: Annotated[str | None, typer.Option(help="Its configuration, a JSON object.")] = None,
    as_json: Json = False,
) -> None:
    """Start a run of some tasks alone."""
    from airflow_xtended_client import RunsApi

    answer = connect(context).call(
        lambda client: RunsApi(client).run_task_instance(
            dag_id=dag_id, run_id=run_id, tasks=tasks, regex=regex, conf=conf
        )
    )
    if as_json:
        output.print_json(output.plain(answer))
    else:
        output.say(f"{answer.run_id}: {', '.join(answer.tasks)}")


@app.command()
@reported
def clear(
    context: typer.Context,
    dag_id: DagId,
    *,
    run_id: Annotated[str | None, typer.Option(help="This run alone.")] = None,
    tasks: Annotated[str | None, typer.Option("--task-regex", help="Tasks whose ids match.")] = None,
    start_date: Annotated[str | None, typer.Option(help="Runs from this logical date on.")] = None,
    end_date: Annotated[str | None, typer.Option(help="Runs up to this logical date.")] = None,
    only_failed: Annotated[bool, typer.Option("--only-failed")] = False,
    only_running: Annotated[bool, typer.Option("--only-running")] = False,
    upstream: Annotated[bool, typer.Option("--upstream", help="And the tasks before them.")] = False,
    downstream: Annotated[bool, typer.Option("--downstream", help="And the tasks after them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Have tasks run again, whatever their state."""
    from airflow_xtended_client import TasksApi

    answer = connect(context).call(
        lambda client: TasksApi(client).clear(
            dag_id=dag_id,
            run_id=run_id,
            task_regex=tasks,
            start_date=start_date,
            end_date=end_date,
            only_failed=only_failed,
            only_running=only_running,
            upstream=upstream,
            downstream=downstream,
            dry_run=dry_run,
        )
    )
    _tell(answer, as_json=as_json)


def _meant(session: Session, dag_id: str, run_id: str | None) -> str:
    """The run that is named, or the DAG's newest. Raises Failure."""
    from airflow_xtended_client import RunsApi

    if run_id is not None:
        return run_id
    newest = session.call(lambda client: RunsApi(client).list_runs(dag_id=dag_id, limit=1)).runs
    if not newest:
        raise absent(f"DAG {dag_id!r} has no run yet.")
    return newest[0].run_id


def _tell(answer: Any, *, as_json: bool) -> None:
    if as_json:
        output.print_json(output.plain(answer))
    else:
        output.say(answer.message)
