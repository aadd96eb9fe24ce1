"""Sessions on Airflow's metadata database that no other code of the request can close or commit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow import settings
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from xtended.airflow_host.records import refusals_as_problems, refused

log = logging.getLogger(__name__)


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
    """`changing`; where the database is busy or away it raises Unavailable."""
    with refusals_as_problems(), changing() as session:
        yield session


@contextmanager
def changing() -> Iterator[Session]:
    """A session whose changes are committed together when the context ends, and not before.

    The functions of Airflow that publish a DAG commit along the way. A session that joins a transaction which
    its connection holds already can't end it, so their commits become flushes. Where one of them rolls back,
    the whole transaction is over. Raises Unavailable then.
    """
    with settings.engine.connect() as connection, connection.begin() as transaction:
        session = _new_session(bind=connection)
        try:
            yield session
            session.commit()
        except InvalidRequestError:
            if transaction.is_active:
                raise
            log.warning("Airflow took a change back, and with it all that belongs to it", exc_info=True)
            raise refused() from None
        finally:
            session.close()


def _new_session(**options: Any) -> Session:
    registry: Any = settings.Session
    session: Session = registry.session_factory(**options)
    return session
