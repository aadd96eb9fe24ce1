"""Sessions on Airflow's metadata database that no other code of the request can close or commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow import settings
from sqlalchemy.orm import Session


@contextmanager
def reading() -> Iterator[Session]:
    """A session of its own: Airflow's `create_session` would close the one that the web request uses."""
    session = _new_session()
    try:
        yield session
    finally:
        session.close()


@contextmanager
def writing() -> Iterator[Session]:
    """A session whose changes are committed together when the context ends, and not before.

    The functions of Airflow that publish a DAG commit along the way. A session that joins a transaction which
    its connection holds already can't end it, so their commits become flushes. Where one of them rolls back,
    the whole transaction is over: whatever comes next in this context raises.
    """
    with settings.engine.connect() as connection, connection.begin():
        session = _new_session(bind=connection)
        try:
            yield session
            session.commit()
        finally:
            session.close()


def _new_session(**options: Any) -> Session:
    registry: Any = settings.Session
    session: Session = registry.session_factory(**options)
    return session
