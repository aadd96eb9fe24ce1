"""The program `xtended`."""

from __future__ import annotations

from typing import Annotated

import typer

from xtended_cli.commands import deploy, history, login, runs, sync
from xtended_cli.session import Access

app = typer.Typer(
    name="xtended",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Drive Apache Airflow over HTTP.",
    epilog="Exits with 0: done; 1: refused or failed; 2: wrong usage; 3: a DAG file is not valid; "
    "4: not logged in, or no right; 5: the server can't be reached, or can't answer now.",
)


def _version(asked: bool) -> None:
    if asked:
        from airflow_xtended_client import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def access(
    context: typer.Context,
    *,
    url: Annotated[
        str | None, typer.Option(envvar="XTENDED_URL", help="Where Airflow is; else the profile's server.")
    ] = None,
    token: Annotated[str | None, typer.Option(envvar="XTENDED_TOKEN", help="A bearer token.")] = None,
    username: Annotated[str | None, typer.Option(envvar="XTENDED_USERNAME")] = None,
    # From the environment alone: arguments can be seen by every user of the machine.
    password: Annotated[str | None, typer.Option(envvar="XTENDED_PASSWORD", hidden=True)] = None,
    profile: Annotated[
        str, typer.Option(envvar="XTENDED_PROFILE", help="The login to use, or to keep.")
    ] = "default",
    ca_file: Annotated[
        str | None, typer.Option(envvar="XTENDED_CA_FILE", help="Certificates to trust, PEM.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = Access(profile, url, token, username, password, ca_file)


app.command("login")(login.login)
app.command("deploy")(deploy.deploy)
app.command("validate")(deploy.validate)
app.add_typer(sync.app, name="sync")
app.command("revisions")(history.revisions)
app.command("diff")(history.diff)
app.command("rollback")(history.rollback)
app.command("dags")(runs.dags)
app.add_typer(runs.app, name="runs")


def main() -> None:
    app()
