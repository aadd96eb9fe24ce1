"""A workflow's two files in the DAG folder: its configuration as JSON, and the DAG file that reads it."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError

from xtended.access import require_dags
from xtended.api import Call
from xtended.changes import Change, carry_out
from xtended.outcomes import Outcome
from xtended.problems import Conflict, Misconfigured, NotFound
from xtended.services import Services
from xtended.workflows.model import Workflow, check_name

_HERE = importlib.resources.files(__package__)


def managed_operators(services: Services) -> Path:
    """The folder of the callables that a workflow may name."""
    configured = services.managed_dags.dag_managed_operators
    return Path(configured) if configured else Path(str(_HERE)) / "managed_operators"


def deploy(call: Call, workflow: Workflow, *, dry_run: bool) -> Outcome:
    """Put a workflow's files into the DAG folder and make its DAGs live. Raises as `carry_out`."""
    config, dag_file = paths(call.services, workflow.name)
    content = json.dumps(workflow.dags, indent=2, ensure_ascii=False) + "\n"
    change = Change(
        "deploy_workflow",
        puts={config: content.encode(), dag_file: _dag_file(call.services)},
        data_of={config: dag_file},
        force=workflow.force,
        pause=workflow.pause,
        unpause=workflow.unpause,
        otf_sync=True,
        dry_run=dry_run,
        dags_expected=True,
    )
    return carry_out(call, change)


def delete(call: Call, name: str, *, dry_run: bool) -> Outcome:
    """Take a workflow's files away, and its DAGs out of Airflow's database. Raises NotFound, Conflict."""
    config, dag_file = _existing(call.services, name)
    change = Change(
        "delete_workflow",
        deletes=frozenset({config, dag_file}),
        data_of={config: dag_file},
        force=True,
        dry_run=dry_run,
        forget_dags=True,
    )
    return carry_out(call, change)


def listed(call: Call) -> list[dict[str, Any]]:
    """Name, file and DAG ids of every workflow whose DAGs the caller may all read, by name."""
    folder = PurePosixPath(_folder(call.services))
    store, identity, rule = call.services.store(), call.services.host.identity, call.rule
    names = sorted(
        path.stem
        for path in map(PurePosixPath, store.list())
        if path.suffix == ".json" and path.parent == folder and store.exists(str(path.with_suffix(".py")))
    )
    found = []
    for name in names:
        # A JSON file of other hands is no workflow.
        with contextlib.suppress(Conflict):
            found.append(describe(call, name))
    return [
        each
        for each in found
        if all(identity.may(call.user, rule.method, rule.entity, dag_id) for dag_id in each["dag_ids"])
    ]


def describe(call: Call, name: str) -> dict[str, Any]:
    """What `listed` answers of one workflow, with its configuration. Raises NotFound, Conflict."""
    config, dag_file = _existing(call.services, name)
    try:
        dags = json.loads((call.services.store().root / config).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        dags = None
    if not isinstance(dags, dict):
        raise Conflict(f"{config!r} is not what was deployed: it can't be read.")
    return {"name": name, "file": dag_file, "dag_ids": sorted(dags), "dag_config": dags}


def read(call: Call, name: str) -> dict[str, Any]:
    """One workflow. Raises NotFound, Forbidden."""
    found = describe(call, name)
    require_dags(call.services.host.identity, call.rule, call.user, found["dag_ids"])
    return found


def paths(services: Services, name: str) -> tuple[str, str]:
    """The configuration and the DAG file of a workflow, relative to the DAG folder."""
    stem = f"{_folder(services)}/{check_name(name)}"
    return f"{stem}.json", f"{stem}.py"


def _existing(services: Services, name: str) -> tuple[str, str]:
    found = paths(services, name)
    if not all(services.store().exists(path) for path in found):
        raise NotFound(f"There is no workflow {name!r}.")
    return found


def _folder(services: Services) -> str:
    # The setting named a folder anywhere; only below the DAG folder does a change belong to its history.
    return PurePosixPath(services.managed_dags.dag_generated_configs).name


def _dag_file(services: Services) -> bytes:
    """The same for each workflow: nothing of it is handed to the template. Raises Misconfigured."""
    chosen = services.managed_dags.dag_runner_template
    try:
        text = (Path(chosen) if chosen else _HERE / "dag_runner.j2").read_text(encoding="utf-8")
        environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - Python
        return environment.from_string(text).render().encode()
    except (OSError, UnicodeError, TemplateError):
        raise Misconfigured("[openmetadata_airflow_apis] dag_runner_template can't be used.") from None
