"""sync: from a bucket, a collection, or a source that is kept under a name."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from xtended_cli import output
from xtended_cli.failures import REFUSED, Failure, reported
from xtended_cli.output import Json
from xtended_cli.session import connect

_STAGES = ("listed", "fetched", "parsed", "applied")
_SAVED = "saved"


class _OrSaved(TyperGroup):
    """What is no command of the group is the name of a source."""

    # Its types are Click's, which Typer has a copy of inside.
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = args and (args[0] in self.commands or args[0].startswith("-"))
        return super().resolve_command(ctx, args if known else [_SAVED, *args])


app = typer.Typer(
    cls=_OrSaved,
    no_args_is_help=True,
    help="Have the DAG folder follow s3, mongo, or the NAME of a source that the server keeps.",
    subcommand_metavar="s3|mongo|NAME [OPTIONS]",
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and change nothing.")]
KeepOthers = Annotated[bool, typer.Option("--skip-purge", help="Keep files that the source does not have.")]
Wait = Annotated[bool, typer.Option("--wait", help="Answer once the DAGs can be triggered.")]
OnError = Annotated[str, typer.Option(help="What a bad file does to the others: abort or skip.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Take an empty source for what is meant.")]
Include = Annotated[str | None, typer.Option(help="Globs of files to take, separated by commas.")]
Exclude = Annotated[str | None, typer.Option(help="Globs of files to leave out, separated by commas.")]
ConnId = Annotated[str | None, typer.Option(help="An Airflow connection that holds the credentials.")]
Message = Annotated[str | None, typer.Option("--message", "-m", help="Why; the history keeps it.")]


@app.command("s3")
@reported
def s3(
    context: typer.Context,
    bucket: Annotated[str, typer.Argument(help="The bucket.")],
    *,
    prefix: Annotated[str | None, typer.Option(help="Only keys that start so.")] = None,
    keys: Annotated[str | None, typer.Option(help="Only these keys, separated by commas.")] = None,
    strip_prefix: Annotated[str | None, typer.Option(help="What is no part of file names.")] = None,
    region: Annotated[str | None, typer.Option(help="Its region.")] = None,
    endpoint_url: Annotated[str | None, typer.Option(help="A server other than AWS.")] = None,
    conn_id: ConnId = None,
    access_key: Annotated[str | None, typer.Option(envvar="XTENDED_S3_ACCESS_KEY")] = None,
    secret_key: Annotated[str | None, typer.Option(envvar="XTENDED_S3_SECRET_KEY")] = None,
    session_token: Annotated[str | None, typer.Option(envvar="XTENDED_S3_SESSION_TOKEN")] = None,
    skip_purge: KeepOthers = False,
    wait: Wait = False,
    dry_run: DryRun = False,
    on_error: OnError = "abort",
    allow_empty: AllowEmpty = False,
    include: Include = None,
    exclude: Exclude = None,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Have the DAG folder follow a bucket."""
    from airflow_xtended_client import SyncApi

    _follow(
        context,
        lambda client: SyncApi(client).s3_sync_without_preload_content(
            s3_bucket_name=bucket,
            s3_region=region,
            s3_access_key=access_key,
            s3_secret_key=secret_key,
            s3_session_token=session_token,
            conn_id=conn_id,
            s3_endpoint_url=endpoint_url,
            s3_object_prefix=prefix,
            s3_object_keys=keys,
            strip_prefix=strip_prefix,
            skip_purge=skip_purge,
            otf_sync=wait,
            dry_run=dry_run,
            on_error=on_error,
            allow_empty=allow_empty,
            include=include,
            exclude=exclude,
            message=message,
            _headers=_LINES,
        ),
        as_json=as_json,
    )


@app.command("mongo")
@reported
def mongo(
    context: typer.Context,
    database: Annotated[str, typer.Argument(help="The database.")],
    collection: Annotated[str, typer.Argument(help="The collection.")],
    *,
    field_filename: Annotated[str, typer.Option(help="The field with a file's name.")] = "dag_filename",
    field_dag_source: Annotated[str, typer.Option(help="The field with its content.")] = "dag_source",
    query_filter: Annotated[
        str | None, typer.Option(help="Only documents that match this, in Extended JSON.")
    ] = None,
    conn_id: ConnId = None,
    connection_string: Annotated[str | None, typer.Option(envvar="XTENDED_MONGO_URL")] = None,
    skip_purge: KeepOthers = False,
    wait: Wait = False,
    dry_run: DryRun = False,
    on_error: OnError = "abort",
    allow_empty: AllowEmpty = False,
    include: Include = None,
    exclude: Exclude = None,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Have the DAG folder follow a collection."""
    from airflow_xtended_client import SyncApi

    _follow(
        context,
        lambda client: SyncApi(client).mongo_sync_without_preload_content(
            db_name=database,
            collection_name=collection,
            field_filename=field_filename,
            field_dag_source=field_dag_source,
            connection_string=connection_string,
            conn_id=conn_id,
            query_filter=query_filter,
            skip_purge=skip_purge,
            otf_sync=wait,
            dry_run=dry_run,
            on_error=on_error,
            allow_empty=allow_empty,
            include=include,
            exclude=exclude,
            message=message,
            _headers=_LINES,
        ),
        as_json=as_json,
    )


@app.command(_SAVED, hidden=True)
@reported
def saved(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the source is called.")],
    *,
    dry_run: DryRun = False,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Have the DAG folder follow a source that the server keeps."""
    from airflow_xtended_client import SyncApi

    _follow(
        context,
        lambda client: SyncApi(client).sync_from_source_without_preload_content(
            name, dry_run=dry_run, message=message, _headers=_LINES
        ),
        as_json=as_json,
    )


_LINES = {"Accept": "application/x-ndjson"}


def _follow(context: typer.Context, ask: Any, *, as_json: bool) -> None:
    session = connect(context)
    lines = session.lines(ask)
    result = _last(lines) if as_json else _with_progress(lines)
    if result.get("status") != "success":
        raise Failure(result)
    if as_json:
        output.print_json(result)
    else:
        _show(result)
    if result.get("sync_status", {}).get("failed"):
        raise typer.Exit(REFUSED)


def _last(lines: Iterator[dict[str, Any]]) -> dict[str, Any]:
    (last,) = deque(lines, maxlen=1) or ({},)
    return last


def _with_progress(lines: Iterator[dict[str, Any]]) -> dict[str, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    last: dict[str, Any] = {}
    listed: int | None = None
    with Progress(*columns, console=output.errors, transient=True) as progress:
        bars = {stage: progress.add_task(stage, total=None, visible=False) for stage in _STAGES}
        for last in lines:
            stage = last.get("stage")
            if stage not in bars:
                continue
            # How many there are of the others is known once all are listed.
            if stage == "listed":
                listed = last["files"]
            progress.update(bars[stage], completed=last["files"], total=listed, visible=True)
    return last


def _show(result: dict[str, Any]) -> None:
    output.say(result["message"])
    files = result["files"]
    for mark, kind in (("+", "added"), ("~", "changed"), ("-", "deleted")):
        for path in files[kind]:
            output.say(f"  {mark} {path}")
    if result.get("unchanged"):
        output.say(f"{result['unchanged']} file(s) unchanged")
    for failed in result["sync_status"]["failed"]:
        output.errors.print("[bold red]error:[/]", end=" ")
        output.errors.print(failed, markup=False, highlight=False)
    if result.get("revision"):
        output.say(f"Revision: {result['revision']}")
