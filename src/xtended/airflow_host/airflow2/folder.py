"""Where Airflow 2 has its DAG files, and how its `fileloc` names one of them."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from airflow import settings

BUNDLE_NAME = "dags-folder"


def dag_folder() -> Path:
    """`[core] dags_folder` as the scheduler names it: absolute, symlinks not followed."""
    return Path(os.path.abspath(settings.DAGS_FOLDER))  # noqa: PTH100 - resolve() follows symlinks


def file_of(fileloc: str | None) -> str | None:
    """The file, relative to the DAG folder, that `fileloc` lies in; None where it is elsewhere.

    A DAG in an archive has a `fileloc` such as `/dags/x.zip/module.py`; its file is `x.zip`.
    """
    folder = dag_folder()
    try:
        parts = Path(fileloc or "").relative_to(folder).parts
    except ValueError:
        return None
    for count in range(1, len(parts)):
        if parts[count - 1].lower().endswith(".zip") and not folder.joinpath(*parts[:count]).is_dir():
            return "/".join(parts[:count])
    return "/".join(parts) or None


def absolute(path: str) -> str:
    """`path`, relative to the DAG folder, as Airflow's database has it."""
    return str(dag_folder() / path)


def is_in(fileloc: str | None, paths: Collection[str]) -> bool:
    """Whether `fileloc` is one of the files `paths`, or inside one."""
    return file_of(fileloc) in paths
