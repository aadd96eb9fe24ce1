"""What the parser's tests must know of the Airflow that is installed beside them; they are written for Airflow 3."""

from __future__ import annotations

import re
from importlib.metadata import version

HOST = f"airflow{version('apache-airflow').split('.')[0]}"

BACKEND = {
    "airflow3": "xtended.airflow_host.airflow3.parsing:FileProcess.fork",
    "airflow2": "xtended.airflow_host.airflow2.parsing:FileProcess",
}[HOST]

DAG_ID = {"airflow3": "dag_id", "airflow2": "_dag_id"}[HOST]
"""Where a DAG's serialised form has its id."""

AIRFLOWS_OWN = {
    "airflow3": """
import json, sys
from pathlib import Path
import structlog
from airflow.dag_processing.processor import DagFileParseRequest, _parse_file

root, path, bundle = sys.argv[1:]
request = DagFileParseRequest(file=f"{root}/{path}", bundle_path=Path(root), bundle_name=bundle)
result = _parse_file(request, structlog.get_logger())
print("RESULT", json.dumps([dag.data for dag in result.serialized_dags]))
""",
    "airflow2": """
import json, sys
from airflow.models.dagbag import DagBag
from airflow.serialization.serialized_objects import SerializedDAG

root, path, bundle = sys.argv[1:]
bag = DagBag(f"{root}/{path}", include_examples=False)
print("RESULT", json.dumps([SerializedDAG.to_dict(dag) for dag in bag.dags.values()]))
""",
}[HOST]
"""A program that prints what the DAG processor makes of a file."""

_AIRFLOW_2_IMPORTS = {
    "Asset": "from airflow import Dataset as Asset",
    "BaseHook": "from airflow.hooks.base import BaseHook",
    "DAG": "from airflow import DAG",
    "Variable": "from airflow.models import Variable",
    "dag": "from airflow.decorators import dag",
    "task": "from airflow.decorators import task",
}


def for_this_airflow(source: str) -> str:
    """The source of a DAG file, with the same lines, as it would be written for the Airflow that is installed."""
    if HOST == "airflow3":
        return source
    source = re.sub(r"from airflow\.sdk import (\w+(?:, \w+)*)", _airflow_2_imports, source)
    return re.sub(r"(Variable\.get\([^)]*)\bdefault=", r"\1default_var=", source)


def _airflow_2_imports(found: re.Match[str]) -> str:
    return "; ".join(_AIRFLOW_2_IMPORTS[name] for name in found[1].split(", "))
