"""From the fields of a request, and the Airflow connection that they name, to the source of a sync."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from xtended.airflow_host.base import Connection
from xtended.problems import BadRequest
from xtended.services import Services
from xtended.sources.base import Source

# boto3 and pymongo take 12 MB and 0.15 s of each web worker: they are loaded with the first source of their kind.
if TYPE_CHECKING:
    from xtended.sources.mongo import MongoSource
    from xtended.sources.s3 import S3Keys, S3Source

# Airflow's own options of a MongoDB connection, which are no options of pymongo.
_NO_URI_OPTIONS = frozenset({"srv", "ssl", "allow_insecure", "uri"})


def words(text: str | None) -> list[str]:
    """What a field with values separated by commas holds."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _filled(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields that say something: forms send those that were left empty, too."""
    return {name: value for name, value in fields.items() if value != ""}


def s3_source(services: Services, fields: Mapping[str, Any]) -> S3Source:
    """Raises BadRequest, NotFound (the connection)."""
    from xtended.sources.s3 import Bucket, S3Keys, S3Source

    fields = _filled(fields)
    conn_id, access, secret = (fields.get(name) for name in ("conn_id", "s3_access_key", "s3_secret_key"))
    if (access is None) is not (secret is None):
        raise BadRequest("s3_access_key and s3_secret_key go together.")
    if conn_id and access is not None:
        raise BadRequest("Give s3_access_key and s3_secret_key, or conn_id, not both.")
    region, endpoint, keys = fields.get("s3_region"), fields.get("s3_endpoint_url"), None
    if access is not None and secret is not None:
        keys = S3Keys(access, secret, fields.get("s3_session_token"))
    elif conn_id:
        connection = services.host.connections.find(conn_id)
        keys = _aws_keys(connection)
        region = region or connection.extra.get("region_name")
        endpoint = endpoint or _aws_endpoint(connection)
    bucket = Bucket(
        name=fields.get("s3_bucket_name", ""),
        region=region,
        endpoint_url=endpoint,
        keys=keys,
        prefix=fields.get("s3_object_prefix", ""),
        objects=words(fields.get("s3_object_keys")),
        strip_prefix=fields.get("strip_prefix", ""),
    )
    return S3Source(
        bucket,
        policy=services.outbound_policy(),
        timeout=services.settings.outbound_timeout,
        max_bytes=services.max_file_bytes,
        concurrency=services.settings.sync_concurrency,
    )


def _aws_keys(connection: Connection) -> S3Keys | None:
    from xtended.sources.s3 import S3Keys

    if connection.conn_type not in ("aws", "s3", "generic", ""):
        raise BadRequest(f"Airflow connection {connection.conn_id!r} is not one to AWS.")
    extra = connection.extra
    if extra.get("role_arn") or extra.get("profile_name"):
        raise BadRequest(
            f"Airflow connection {connection.conn_id!r} takes on a role or profile, which a sync can't: "
            "use one with keys, or none for the web server's own role."
        )
    access = connection.login or extra.get("aws_access_key_id")
    secret = connection.password or extra.get("aws_secret_access_key")
    if not access or not secret:
        return None
    return S3Keys(str(access), str(secret), extra.get("aws_session_token"))


def _aws_endpoint(connection: Connection) -> str | None:
    of_s3 = (connection.extra.get("service_config") or {}).get("s3") or {}
    found = of_s3.get("endpoint_url") or connection.extra.get("endpoint_url")
    return str(found) if found else None


def mongo_source(services: Services, fields: Mapping[str, Any]) -> MongoSource:
    """Raises BadRequest, NotFound (the connection), OutboundRefused, SourceFailed (a host is not known)."""
    from xtended.sources.mongo import Documents, MongoSource

    fields = _filled(fields)
    conn_id, uri = fields.get("conn_id"), fields.get("connection_string")
    if bool(conn_id) is bool(uri):
        raise BadRequest("Give either connection_string or conn_id.")
    documents = Documents(
        connection_string=uri or _mongo_uri(services.host.connections.find(str(conn_id))),
        database=fields.get("db_name", ""),
        collection=fields.get("collection_name", ""),
        field_filename=fields.get("field_filename", ""),
        field_source=fields.get("field_dag_source", ""),
        query_filter=fields.get("query_filter"),
    )
    return MongoSource(
        documents,
        policy=services.outbound_policy(),
        timeout=services.settings.outbound_timeout,
        max_bytes=services.max_file_bytes,
    )


def _mongo_uri(connection: Connection) -> str:
    if connection.conn_type not in ("mongo", "mongodb", "generic", ""):
        raise BadRequest(f"Airflow connection {connection.conn_id!r} is not one to MongoDB.")
    extra = connection.extra
    scheme = "mongodb+srv" if extra.get("srv") else "mongodb"
    login = ""
    if connection.login:
        login = f"{quote(connection.login, safe='')}:{quote(connection.password or '', safe='')}@"
    port = f":{connection.port}" if connection.port and scheme == "mongodb" else ""
    options = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in extra.items()
        if name not in _NO_URI_OPTIONS and isinstance(value, str | int | bool)
    }
    if extra.get("ssl"):
        options["tls"] = "true"
    if extra.get("allow_insecure"):
        options["tlsAllowInvalidCertificates"] = "true"
    query = f"?{urlencode(options)}" if options else ""
    database = quote(connection.schema or "", safe="")
    return f"{scheme}://{login}{connection.host or 'localhost'}{port}/{database}{query}"


@dataclass(frozen=True)
class Kind:
    """One kind of source: how it is opened, and the fields that it takes and needs, beside those of every sync."""

    open: Callable[[Services, Mapping[str, Any]], AbstractContextManager[Source]]
    own: frozenset[str]
    required: frozenset[str]

    @property
    def fields(self) -> frozenset[str]:
        return self.own | _OF_EVERY_SYNC


_OF_EVERY_SYNC = frozenset({"skip_purge", "otf_sync", "on_error", "allow_empty", "include", "exclude"})
KINDS: Mapping[str, Kind] = {
    "s3": Kind(
        s3_source,
        frozenset(
            {
                "conn_id",
                "s3_access_key",
                "s3_bucket_name",
                "s3_endpoint_url",
                "s3_object_keys",
                "s3_object_prefix",
                "s3_region",
                "s3_secret_key",
                "s3_session_token",
                "strip_prefix",
            }
        ),
        frozenset({"s3_bucket_name"}),
    ),
    "mongo": Kind(
        mongo_source,
        frozenset(
            {
                "collection_name",
                "conn_id",
                "connection_string",
                "db_name",
                "field_dag_source",
                "field_filename",
                "query_filter",
            }
        ),
        frozenset({"collection_name", "db_name", "field_dag_source", "field_filename"}),
    ),
}
