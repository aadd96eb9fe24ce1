"""deploy and validate."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xtended_cli import local_files, output
from xtended_cli.failures import INVALID, REFUSED, Failure, reported, show_import_errors
from xtended_cli.output import Json
from xtended_cli.session import Session, connect

if TYPE_CHECKING:
    from airflow_xtended_client import ChangeResult

Paths = Annotated[
    list[Path],
    typer.Argument(exists=True, metavar="PATH...", help="Files, zips, or folders whose contents are meant."),
]
Folder = Annotated[
    str | None, typer.Option("--path", help="The folder below the DAG folder that they go to.")
]


@reported
def deploy(
    context: typer.Context,
    paths: Paths,
    folder: Folder = None,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Answer once the DAGs can be triggered.")] = False,
    unpause: Annotated[bool, typer.Option("--unpause", help="Unpause the DAGs.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Pause the DAGs.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist.")] = False,
    delete_missing: Annotated[
        bool, typer.Option("--delete-missing", help="Delete the files of the folder that are not sent.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, as a diff.")] = False,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Why; the history keeps it.")] = None,
    if_match: Annotated[
        str | None, typer.Option("--if-match", help="Only while this is the newest revision.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put files and folders on the server, all of them or none."""
    files = local_files.collect(paths)
    session = connect(context)
    options: dict[str, Any] = {
        "path": folder,
        "force": force or dry_run,
        "pause": pause,
        "unpause": unpause,
        "otf_sync": wait,
        "dry_run": dry_run,
        "message": message,
        "if_match": if_match,
    }
    try:
        answer = _sent(session, files, delete_missing=delete_missing, options=options)
    except Failure as failure:
        failure.sources = local_files.sources(files, folder)
        raise
    if as_json:
        output.print_json(output.plain(answer))
    else:
        if dry_run:
            _show_differences(session, files, folder, answer)
        show_change(answer)
    if wait and not dry_run and not all(dag.live for dag in answer.dags):
        waiting = ", ".join(dag.dag_id for dag in answer.dags if not dag.live)
        output.errors.print(f"[bold red]error:[/] not live: {waiting}")
        raise typer.Exit(REFUSED)


def _sent(
    session: Session,
    files: Sequence[local_files.LocalFile],
    *,
    delete_missing: bool,
    options: dict[str, Any],
) -> ChangeResult:
    from airflow_xtended_client import DeploymentApi

    if len(files) == 1 and files[0].name.endswith(local_files.DAG_SUFFIXES) and not delete_missing:
        above, _, name = files[0].name.rpartition("/")
        place = "/".join(part for part in (options["path"], above) if part)
        sent = {**options, "path": place or None}
        content = files[0].read()
        return session.call(lambda client: DeploymentApi(client).deploy_dag(dag_file=(name, content), **sent))
    archive = local_files.packed(files)
    return session.call(
        lambda client: DeploymentApi(client).deploy_archive(
            archive=("files.zip", archive), delete_missing=delete_missing, **options
        )
    )


def show_change(answer: ChangeResult) -> None:
    output.say(answer.message)
    for verb, mark, paths in (
        ("added", "+", answer.files.added),
        ("changed", "~", answer.files.changed),
        ("deleted", "-", answer.files.deleted),
    ):
        for path in paths:
            output.say(f"  {mark} {path} ({verb})")
    if answer.dag_ids:
        output.say(f"DAGs: {', '.join(answer.dag_ids)}")
    if answer.removed_dag_ids:
        output.say(f"Gone: {', '.join(answer.removed_dag_ids)}")
    for warning in answer.warnings or ():
        output.errors.print("[yellow]warning:[/]", end=" ")
        output.errors.print(warning, markup=False, highlight=False)
    if answer.revision:
        output.say(f"Revision: {answer.revision}")


def _show_differences(
    session: Session, files: Sequence[local_files.LocalFile], folder: str | None, answer: ChangeResult
) -> None:
    above = f"{folder.strip('/')}/" if folder else ""
    ours = {above + file.name: file for file in files}
    for path in sorted([*answer.files.added, *answer.files.changed, *answer.files.deleted]):
        old = b"" if path in answer.files.added else _live(session, path)
        new = ours[path].read() if path in ours else b""
        output.diff(_difference(path, old, new))


def _live(session: Session, path: str) -> bytes | None:
    """What the folder holds, or None where the caller may not read it."""
    import base64

    from airflow_xtended_client import HistoryApi

    try:
        file = session.call(lambda client: HistoryApi(client).get_file(path))
    except Failure as failure:
        if failure.problem.get("status") in (403, 404):
            return None
        raise
    return file.content.encode() if file.encoding == "utf-8" else base64.b64decode(file.content)


def _difference(path: str, old: bytes | None, new: bytes) -> str:
    if old is None:
        return f"--- a/{path}\n+++ b/{path}\n@@ what is there can't be read with these rights @@"
    try:
        before, after = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        return f"Binary files a/{path} and b/{path} differ"
    return "\n".join(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", lineterm=""))


@reported
def validate(context: typer.Context, paths: Paths, folder: Folder = None, *, as_json: Json = False) -> None:
    """Say which DAGs files define and what is wrong with them; changes nothing."""
    from airflow_xtended_client import DeploymentApi

    files = local_files.collect(paths)
    session = connect(context)
    if len(files) > 1 or not files[0].name.endswith(local_files.DAG_SUFFIXES):
        _validate_together(session, files, folder, as_json=as_json)
        return
    above, _, name = files[0].name.rpartition("/")
    place = "/".join(part for part in (folder, above) if part)
    content = files[0].read()
    answer = session.call(
        lambda client: DeploymentApi(client).validate_dag(dag_file=(name, content), path=place or None)
    )
    if as_json:
        output.print_json(output.plain(answer))
    elif answer.valid:
        output.say(answer.message)
        output.say(f"DAGs: {', '.join(answer.dag_ids)}")
    else:
        found = [error.model_dump() for error in answer.import_errors]
        show_import_errors(found, local_files.sources(files, folder))
    for dag_id in answer.conflicts:
        output.errors.print("[yellow]warning:[/]", end=" ")
        output.errors.print(f"another file defines {dag_id} already", markup=False, highlight=False)
    if not answer.valid:
        raise typer.Exit(INVALID)


def _validate_together(
    session: Session, files: Sequence[local_files.LocalFile], folder: str | None, *, as_json: bool
) -> None:
    """Several files, which may import each other: a deployment that is not made."""
    try:
        answer = _sent(
            session, files, delete_missing=False, options={"path": folder, "force": True, "dry_run": True}
        )
    except Failure as failure:
        failure.sources = local_files.sources(files, folder)
        raise
    if as_json:
        output.print_json(output.plain(answer))
    else:
        output.say(f"{len(files)} file(s) are valid")
        output.say(f"DAGs: {', '.join(answer.dag_ids)}")
