"""Where a login is kept: one file in the user's configuration folder, for the user's eyes alone."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from xtended_cli.failures import damaged

APP = "airflow-xtended"


@dataclass(frozen=True)
class Profile:
    """A server and the tokens for it; a password is never kept."""

    url: str
    access_token: str
    refresh_token: str | None = None


def place() -> Path:
    return Path(typer.get_app_dir(APP)) / "profiles.json"


def load(name: str) -> Profile | None:
    """Raises Failure where the file is there and can't be read."""
    found = _all().get(name)
    if found is None:
        return None
    url, access, refresh = (found.get(key) for key in ("url", "access_token", "refresh_token"))
    if url is None or access is None:
        raise damaged(f"{place()} is damaged; log in again.")
    return Profile(url, access, refresh)


def save(name: str, profile: Profile) -> None:
    """Put it beside the others. Whoever reads the file meanwhile sees the old or the new one."""
    everything = {**_all(), name: asdict(profile)}
    folder = place().parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp's files are 0600 from the start.
    handle, scratch = tempfile.mkstemp(dir=folder, prefix=".profiles-")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(everything, file, indent=2)
        Path(scratch).replace(place())
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def _all() -> dict[str, dict[str, str | None]]:
    try:
        found = json.loads(place().read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise damaged(f"{place()} can't be read: {error}") from None
    if not isinstance(found, dict):
        raise damaged(f"{place()} is damaged; delete it and log in again.")
    return found
