"""Writing a DAG's serialised form to Airflow 2's database exactly as the parser made it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from airflow.models.dagcode import DagCode
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import SerializedDAG
from airflow.settings import COMPRESS_SERIALIZED_DAGS
from airflow.settings import json as airflow_json
from airflow.utils import timezone
from airflow.utils.hashlib_wrapper import md5
from sqlalchemy import select
from sqlalchemy.orm import Session

_TABLE = SerializedDagModel.__table__


def write(session: Session, dag: SerializedDAG, data: Mapping[str, Any], subdir: str) -> bool:
    """Store `data`, the serialised form of `dag`; answers whether it differs from what was stored.

    Airflow's own `SerializedDagModel.write_dag` serialises a DAG object. A DAG made from its serialised form
    gives a slightly different text, so the DAG processor's next pass would take the DAG for a changed one.
    """
    text = airflow_json.dumps(data, sort_keys=True).encode("utf-8")
    dag_hash = md5(text).hexdigest()
    stored = session.execute(
        select(_TABLE.c.dag_hash, _TABLE.c.processor_subdir).where(_TABLE.c.dag_id == dag.dag_id)
    ).first()
    if stored is not None and tuple(stored) == (dag_hash, subdir):
        return False
    row = {
        "fileloc": dag.fileloc,
        "fileloc_hash": DagCode.dag_fileloc_hash(dag.fileloc),
        "data": None if COMPRESS_SERIALIZED_DAGS else dict(data),
        "data_compressed": zlib.compress(text) if COMPRESS_SERIALIZED_DAGS else None,
        "last_updated": timezone.utcnow(),
        "dag_hash": dag_hash,
        "processor_subdir": subdir,
    }
    if stored is None:
        session.execute(_TABLE.insert().values(dag_id=dag.dag_id, **row))
    else:
        session.execute(_TABLE.update().where(_TABLE.c.dag_id == dag.dag_id).values(**row))
    return True
