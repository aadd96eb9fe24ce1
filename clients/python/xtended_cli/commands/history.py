"""revisions, diff and rollback."""

from __future__ import annotations

from typing import Annotated

import typer

from xtended_cli import output
from xtended_cli.commands.deploy import show_change
from xtended_cli.failures import reported
from xtended_cli.output import Json
from xtended_cli.session import connect

Revision = Annotated[str, typer.Argument(metavar="REVISION", help="The id of a revision, or its beginning.")]


@reported
def revisions(
    context: typer.Context,
    *,
    path: Annotated[str | None, typer.Option(help="Changes of this file or folder.")] = None,
    dag_id: Annotated[str | None, typer.Option(help="Changes of files that defined this DAG.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="The next_cursor of the page before.")] = None,
    as_json: Json = False,
) -> None:
    """List the changes of the DAG folder, newest first."""
    from airflow_xtended_client import HistoryApi

    answer = connect(context).call(
        lambda client: HistoryApi(client).list_revisions(path=path, dag_id=dag_id, limit=limit, cursor=cursor)
    )
    if as_json:
        output.print_json(output.plain(answer))
        return
    output.table(
        ("REVISION", "TIME", "USER", "OPERATION", "FILES", "WHY"),
        (
            (
                revision.id[:12],
                f"{revision.time:%Y-%m-%d %H:%M:%S%z}",
                revision.user,
                revision.operation,
                f"+{len(revision.files.added)} ~{len(revision.files.changed)} -{len(revision.files.deleted)}",
                next(iter(revision.message.splitlines()), ""),
            )
            for revision in answer.revisions
        ),
    )
    if answer.next_cursor:
        output.say(f"More: --cursor {answer.next_cursor}")


@reported
def diff(
    context: typer.Context,
    revision: Revision,
    *,
    against: Annotated[
        str | None, typer.Option(help="Another revision, or live; else the one before.")
    ] = None,
    path: Annotated[str | None, typer.Option(help="This file or folder alone.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a revision changed."""
    from airflow_xtended_client import HistoryApi

    answer = connect(context).call(
        lambda client: HistoryApi(client).diff_revision(revision, against=against, path=path)
    )
    if as_json:
        output.print_json(output.plain(answer))
    else:
        output.diff(answer.diff)


@reported
def rollback(
    context: typer.Context,
    revision: Revision,
    *,
    path: Annotated[str | None, typer.Option(help="This file or folder alone.")] = None,
    dag_id: Annotated[str | None, typer.Option(help="The file of this DAG alone.")] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Take over DAGs that other files define.")
    ] = False,
    unpause: Annotated[bool, typer.Option("--unpause", help="Unpause the DAGs.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Answer once the database has followed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change.")] = False,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Why; the history keeps it.")] = None,
    as_json: Json = False,
) -> None:
    """Bring the DAG folder, or a part of it, back to a revision."""
    from airflow_xtended_client import HistoryApi

    session = connect(context)
    answer = session.call(
        lambda client: HistoryApi(client).rollback(
            revision=revision,
            path=path,
            dag_id=dag_id,
            force=force,
            unpause=unpause,
            otf_sync=wait,
            dry_run=dry_run,
            message=message,
        )
    )
    if as_json:
        output.print_json(output.plain(answer))
        return
    if dry_run and not dag_id:
        # From the folder as it is to that revision.
        output.diff(
            session.call(
                lambda client: HistoryApi(client).diff_revision(revision, against="live", path=path)
            ).diff
        )
    show_change(answer)
