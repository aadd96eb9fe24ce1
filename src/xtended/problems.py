"""The errors a client can meet, as one hierarchy, each with a stable RFC 9457 `type`.

    Problem
    +-- BadRequest 400
    |   +-- BadName
    |   +-- BadArchive
    +-- Unauthenticated 401
    +-- Forbidden 403
    |   +-- OutboundRefused
    |   +-- ExecutionOff
    +-- NotFound 404
    +-- MethodNotAllowed 405
    +-- Conflict 409
    |   +-- FileExists
    |   +-- DagOwnedElsewhere
    |   +-- FileDefinesOtherDags
    |   +-- FolderNotOurs
    |   +-- ChangedMeanwhile
    |   +-- ChangedOutside
    |   +-- SourceEmpty
    +-- RevisionMoved 412
    +-- TooLarge 413
    +-- UnsupportedType 415
    +-- DagInvalid 422
    +-- ChecksumMismatch 422
    +-- EntriesInvalid 422
    +-- RenderFailed 422
    +-- SourceFailed 502
    |   +-- SourceDenied
    |   +-- SourceMissing
    |   +-- EntryFailed
    +-- Unavailable 503
    |   +-- ParserUnavailable
    |   +-- FolderUnavailable
    |   +-- FolderBusy
    |   +-- Misconfigured
    +-- ParseTimeout 504
    +-- ExecutionTimeout 504

A message says what is wrong, with which value, and what to do about it. It never holds a traceback, an
absolute path of the server or a secret: what goes into a Problem goes to the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

TYPE_PREFIX = "urn:airflow-xtended:problem:"
MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An error with an HTTP status and a stable type; `extra` holds members a program can act on."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    media_type: ClassVar[str] = MEDIA_TYPE

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers: dict[str, str] = dict(headers or {})
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The problem as an `application/problem+json` object."""
        return problem_body(self.status, self.kind, self.title, self.detail, **self.extra)


def problem_body(status: int, kind: str, title: str, detail: str, **extra: Any) -> dict[str, Any]:
    """The members of every problem; reserved members win over `extra`."""
    reserved = {"type": TYPE_PREFIX + kind, "title": title, "status": status, "detail": detail}
    return {**reserved, **extra, **reserved}


class BadRequest(Problem):
    status, kind, title = 400, "bad-request", "Bad request"


class BadName(BadRequest):
    kind, title = "bad-name", "Name not allowed"


class BadArchive(BadRequest):
    kind, title = "bad-archive", "Archive not allowed"


class Unauthenticated(Problem):
    status, kind, title = 401, "unauthenticated", "Authentication required"


class Forbidden(Problem):
    status, kind, title = 403, "forbidden", "Not allowed"


class OutboundRefused(Forbidden):
    kind, title = "outbound-refused", "Outbound address not allowed"


class ExecutionOff(Forbidden):
    kind, title = "task-execution-off", "Executing tasks is turned off"


class ServicesOff(Forbidden):
    kind, title = "services-off", "Starting services is turned off"


class NotFound(Problem):
    status, kind, title = 404, "not-found", "Not found"


class MethodNotAllowed(Problem):
    status, kind, title = 405, "method-not-allowed", "Method not allowed"


class Conflict(Problem):
    status, kind, title = 409, "conflict", "Conflict"


class FileExists(Conflict):
    kind, title = "file-exists", "File exists"


class DagOwnedElsewhere(Conflict):
    kind, title = "dag-defined-elsewhere", "DAG is defined by another file"


class FileDefinesOtherDags(Conflict):
    kind, title = "file-defines-other-dags", "File defines other DAGs too"


class FolderNotOurs(Conflict):
    kind, title = "folder-not-ours", "DAG folder is managed by something else"


class ChangedMeanwhile(Conflict):
    """Files moved on between the check of a request and its end; `changed_files` names them."""

    kind, title = "changed-meanwhile", "Changed by another request"


class ChangedOutside(Conflict):
    """Files were last changed by other hands than this API's; `changed_files` names them."""

    kind, title = "changed-outside", "Changed outside of the API"


class SourceEmpty(Conflict):
    kind, title = "source-empty", "The source holds no file"


class RevisionMoved(Problem):
    """The newest revision, `revision`, is not the one that the request's If-Match names."""

    status, kind, title = 412, "revision-moved", "The DAG folder has moved on"


class TooLarge(Problem):
    status, kind, title = 413, "too-large", "Too large"


class UnsupportedType(Problem):
    status, kind, title = 415, "unsupported-type", "File type not supported"


class DagInvalid(Problem):
    """The DAG file does not parse; `import_errors` holds {file, line, message} objects."""

    status, kind, title = 422, "dag-invalid", "DAG file does not parse"


class ChecksumMismatch(Problem):
    status, kind, title = 422, "checksum-mismatch", "Checksum does not match"


class EntriesInvalid(Problem):
    """Entries of a source that can't be DAG files; `import_errors` holds {file, line, message} objects."""

    status, kind, title = 422, "source-files-invalid", "Files of the source can't be taken"


class RenderFailed(Problem):
    status, kind, title = 422, "render-failed", "Templates could not be rendered"


class SourceFailed(Problem):
    """`source_code` is the other end's own code of the error, where it gave one."""

    status, kind, title = 502, "source-failed", "The source could not be read"


class SourceDenied(SourceFailed):
    kind, title = "source-denied", "The source refuses the credentials"


class SourceMissing(SourceFailed):
    kind, title = "source-missing", "The source does not exist"


class EntryFailed(SourceFailed):
    kind, title = "source-file-failed", "A file of the source could not be read"


class TooManyAttempts(Problem):
    status, kind, title = 429, "too-many-attempts", "Too many failed logins"


class Unavailable(Problem):
    status, kind, title = 503, "unavailable", "Not available"


class ParserUnavailable(Unavailable):
    kind, title = "parser-unavailable", "DAG parser is not available"


class FolderUnavailable(Unavailable):
    kind, title = "folder-unavailable", "DAG folder can't be written"


class FolderBusy(Unavailable):
    kind, title = "folder-busy", "DAG folder is being changed"


class Misconfigured(Unavailable):
    kind, title = "misconfigured", "Airflow Xtended is misconfigured"


class ParseTimeout(Problem):
    status, kind, title = 504, "parse-timeout", "Parsing ran past its time"


class ExecutionTimeout(Problem):
    status, kind, title = 504, "execution-timeout", "Execution ran past its time"
