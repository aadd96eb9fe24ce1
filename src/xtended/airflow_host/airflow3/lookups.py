"""Answers what a DAG file asks Airflow for while it is loaded: Variables, Connections, and the rest."""

from __future__ import annotations

import functools

from airflow.sdk.api.client import Client
from airflow.sdk.api.datamodels._generated import ConnectionResponse, VariableResponse
from airflow.sdk.exceptions import AirflowNotFoundException, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse


class Lookups:
    """Stands in for the execution API's client, as `DagFileProcessorProcess` uses it.

    Nothing is imported or connected to before it is asked for. Variables and Connections are read as the
    execution API's own routes read them, without the second that it takes to set that API up.
    """

    def __init__(self) -> None:
        self.variables = _Variables(self)
        self.connections = _Connections()

    def __getattr__(self, name: str) -> object:
        return getattr(self.full, name)

    @functools.cached_property
    def full(self) -> Client:
        """The client of the whole execution API, in this process, as the DAG processor makes it."""
        from airflow.api_fastapi.execution_api.app import InProcessExecutionAPI

        client = Client(base_url=None, token="", dry_run=True, transport=InProcessExecutionAPI().transport)
        client.base_url = "http://in-process.invalid./"
        return client


class _Variables:
    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    def get(self, key: str) -> VariableResponse | ErrorResponse:
        from airflow.models.variable import Variable

        try:
            return VariableResponse(key=key, value=Variable.get(key))
        except KeyError:
            return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": key})

    def __getattr__(self, name: str) -> object:
        return getattr(self._lookups.full.variables, name)


class _Connections:
    def get(self, conn_id: str) -> ConnectionResponse | ErrorResponse:
        from airflow.models.connection import Connection

        try:
            found = Connection.get_connection_from_secrets(conn_id)
        except AirflowNotFoundException:
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": conn_id})
        return ConnectionResponse.model_validate(
            {
                "conn_id": conn_id,
                "conn_type": found.conn_type,
                "host": found.host,
                "schema": found.schema,
                "login": found.login,
                "password": found.password,
                "port": found.port,
                "extra": found.extra,
            }
        )
