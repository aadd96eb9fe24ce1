"""A DAG's serialised form, written to Airflow 2's database exactly as the parser made it."""

from __future__ import annotations

import zlib

from airflow import settings
from airflow.models.dagcode import DagCode
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import SerializedDAG
from airflow.settings import COMPRESS_SERIALIZED_DAGS
from airflow.utils import timezone
from airflow.utils.hashlib_wrapper import md5
from sqlalchemy import select
from sqlalchemy.orm import Session

_TABLE = SerializedDagModel.__table__


class SerializedForm:
    """One DAG: `dag` is made from the serialised form, without its code.

    Airflow's own `SerializedDagModel.write_dag` serialises a DAG object. A DAG made from its serialised form
    gives a slightly different text, so the DAG processor's next pass would take the DAG for a changed one.
    """

    def __init__(self, form: str) -> None:
        self._text = settings.json.dumps(settings.json.loads(form), sort_keys=True).encode("utf-8")
        self._hash = md5(self._text).hexdigest()
        # From a copy: reading an operator fills in its defaults in what is read.
        self.dag = SerializedDAG.from_dict(settings.json.loads(self._text))

    def write(self, session: Session, subdir: str) -> bool:
        """Store it where it differs from what is stored; answers whether it did."""
        stored = session.execute(
            select(_TABLE.c.dag_hash, _TABLE.c.processor_subdir).where(_TABLE.c.dag_id == self.dag.dag_id)
        ).first()
        if stored is not None and tuple(stored) == (self._hash, subdir):
            return False
        row = {
            "fileloc": self.dag.fileloc,
            "fileloc_hash": DagCode.dag_fileloc_hash(self.dag.fileloc),
            "data": None if COMPRESS_SERIALIZED_DAGS else settings.json.loads(self._text),
            "data_compressed": zlib.compress(self._text) if COMPRESS_SERIALIZED_DAGS else None,
            "last_updated": timezone.utcnow(),
            "dag_hash": self._hash,
            "processor_subdir": subdir,
        }
        if stored is None:
            session.execute(_TABLE.insert().values(dag_id=self.dag.dag_id, **row))
        else:
            session.execute(_TABLE.update().where(_TABLE.c.dag_id == self.dag.dag_id).values(**row))
        return True
