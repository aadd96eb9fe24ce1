"""The `[xtended_api]` section of airflow.cfg: every option typed, documented, defaulted.

`docs/settings.md` lists the same options; a test holds the two together.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SECTION = "xtended_api"
OLDER_PLUGIN_SECTION = "rest_api_plugin"
MANAGED_DAGS_SECTION = "openmetadata_airflow_apis"

_TRUE = frozenset({"true", "t", "1", "yes", "y", "on"})
_FALSE = frozenset({"false", "f", "0", "no", "n", "off"})
_HOST_NAME = re.compile(r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?$")


class SettingsError(ValueError):
    """One or more options are wrong; the message names each."""


def parse_boolean(text: str) -> bool:
    """A boolean as the forms and the settings take it: y/yes/on/true/t/1 or their opposites, any case."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{text!r} is not a boolean: use one of y, yes, on, true, 1 or n, no, off, false, 0")


def _text(raw: str) -> str:
    return raw.strip()


def _words(raw: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,\s]+", raw.strip()) if part)


def _lines(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in re.split(r"[,\n]+", raw) if part.strip())


def _positive_int(raw: str) -> int:
    value = int(raw)
    if value <= 0:
        raise ValueError("must be a whole number above 0")
    return value


def _folder(raw: str) -> str:
    value = raw.strip()
    if value and not value.startswith("/"):
        raise ValueError("must be an absolute path")
    return value


def _positive_seconds(raw: str) -> float:
    value = float(raw)
    if not 0 < value < float("inf"):
        raise ValueError("must be a number of seconds above 0")
    return value


def _seconds(raw: str) -> float:
    value = float(raw)
    if not 0 <= value < float("inf"):
        raise ValueError("must be a number of seconds, 0 or more")
    return value


def _outbound(raw: str) -> tuple[str, ...]:
    entries = _words(raw)
    for entry in entries:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            if not _HOST_NAME.match(entry) or re.fullmatch(r"[\d./]+", entry):
                raise ValueError(f"{entry!r} is neither a host name nor a CIDR block") from None
    return entries


def _option(default: Any, read: Callable[[str], Any], doc: str) -> Any:
    return field(default=default, metadata={"read": read, "doc": doc})


@dataclass(frozen=True)
class Settings:
    """Every option, read once when the extension is mounted. Sizes are bytes, times seconds."""

    bundle: str = _option(
        "dags-folder", _text, "Name of the local DAG bundle to deploy to (Airflow 3; ignored on Airflow 2)."
    )
    parse_timeout: float = _option(
        30.0, _positive_seconds, "Seconds that parsing one DAG file may take; longer is a 504."
    )
    parse_memory_mb: int = _option(
        1024, _positive_int, "Megabytes that parsing one DAG file may allocate on top of Airflow itself."
    )
    parse_concurrency: int = _option(
        2, _positive_int, "How many files one request (a scan, a sync) parses at the same time."
    )
    parser_idle_seconds: float = _option(
        300.0, _positive_seconds, "The warm parser ends after this many seconds without a request."
    )
    max_file_mb: int = _option(32, _positive_int, "Megabytes that one uploaded or fetched file may have.")
    max_archive_members: int = _option(5000, _positive_int, "How many members a zip may have.")
    max_archive_mb: int = _option(
        256, _positive_int, "Megabytes that all members of a zip may have, unpacked."
    )
    max_archive_ratio: int = _option(
        100, _positive_int, "How many times larger than packed a zip's members may be, together."
    )
    upload_roots: tuple[str, ...] = _option(
        (),
        _lines,
        "Absolute folders, beside the DAG folder, that `upload_file` may write below; separated by commas.",
    )
    purge_keep: tuple[str, ...] = _option(
        (), _lines, "Glob patterns, relative to the DAG folder, that `purge_dags` keeps; separated by commas."
    )
    outbound_allow: tuple[str, ...] = _option(
        (),
        _outbound,
        "Host names (`*.` for subdomains) and CIDR blocks that may be fetched from even where they are not "
        "public addresses; empty: public addresses only.",
    )
    outbound_timeout: float = _option(
        30.0, _positive_seconds, "Seconds that one outbound fetch may take, redirects included."
    )
    sync_concurrency: int = _option(16, _positive_int, "How many files a sync fetches at the same time.")
    sync_timeout: float = _option(
        600.0, _positive_seconds, "Seconds that a sync may take to list and fetch its source."
    )
    sync_max_files: int = _option(20_000, _positive_int, "How many files a sync may find in its source.")
    sync_max_mb: int = _option(
        256,
        _positive_int,
        "Megabytes that a sync may fetch; it holds them in memory until they are in place.",
    )
    auth_cache_seconds: float = _option(
        60.0, _seconds, "Seconds that a correct basic login is remembered by a keyed hash; 0: never."
    )
    access_token_seconds: int = _option(
        900, _positive_int, "Seconds that a token of `POST security/login` is good for."
    )
    refresh_token_days: int = _option(
        30, _positive_int, "Days that a refresh token of `POST security/login` is good for."
    )
    allow_task_execution: bool = _option(
        False,
        parse_boolean,
        "Whether `test`, `run` and, for tasks that have not run yet, `render` may execute DAG code.",
    )
    allow_services: bool = _option(
        False,
        parse_boolean,
        "Whether administrators may start and end long-running processes of Airflow by `services/{name}`.",
    )
    task_timeout: float = _option(
        100.0,
        _positive_seconds,
        "Seconds that the process of a `test` or `render` may take; then it is ended.",
    )
    lock_timeout: float = _option(
        10.0, _positive_seconds, "Seconds to wait for another change of the DAG folder; longer is a 503."
    )
    history_path: str = _option(
        "", _folder, "Folder that the history of the DAG folder is kept in; empty: below AIRFLOW_HOME."
    )
    history_keep_days: int = _option(
        90, _positive_int, "Days that a revision of the DAG folder is kept, and can be rolled back to."
    )
    history_keep_revisions: int = _option(
        10_000, _positive_int, "How many revisions are kept at most, however young they are."
    )
    history_max_mb: int = _option(
        1024, _positive_int, "Megabytes that the history may take on disk; older revisions make room."
    )

    legacy_urls: bool = _option(
        True,
        parse_boolean,
        "Whether the URLs of the older plugins are served, `/rest_api/` and `/admin/rest_api/`.",
    )
    workflow_operators: tuple[str, ...] = _option(
        ("airflow.providers.standard.operators.*", "airflow.providers.standard.sensors.*"),
        _words,
        "Operators that a JSON workflow may name, by their paths in Airflow 3; `*` stands for anything.",
    )
    legacy_token_user: str = _option(
        "",
        _text,
        "The Airflow user that a token of `[rest_api_plugin]` acts as; without it such a token grants nothing.",
    )

    @classmethod
    def load(cls, get: Callable[[str], str | None]) -> Settings:
        """Read all options through `get` (key -> text or None where unset). Raises SettingsError."""
        return cls(**_read(cls, SECTION, get))


@dataclass(frozen=True)
class OlderPluginSettings:
    """The section of the older command-line plugin, read as it read it."""

    rest_api_plugin_http_token_header_name: str = _option(
        "rest_api_plugin_http_token", _text, "The header that a token is sent in."
    )
    rest_api_plugin_expected_http_token: str = field(
        default="", repr=False, metadata={"read": _text, "doc": "The token; without it there is none."}
    )
    log_loading: bool = _option(False, parse_boolean, "Log these options, without the token, at the start.")
    filter_loading_messages_in_cli_response: bool = _option(
        True, parse_boolean, "Of no effect: no command is run whose output could hold such messages."
    )

    @classmethod
    def load(cls, get: Callable[[str], str | None]) -> OlderPluginSettings:
        """Read all options through `get` (key -> text or None where unset). Raises SettingsError."""
        return cls(**_read(cls, OLDER_PLUGIN_SECTION, get))


@dataclass(frozen=True)
class ManagedDagsSettings:
    """The section of the older plugin for managed DAGs."""

    dag_runner_template: str = _option("", _text, "The template of a workflow's DAG file.")
    dag_generated_configs: str = _option(
        "dag_generated_configs", _text, "Where workflows are kept: the folder of this name in the DAG folder."
    )
    dag_managed_operators: str = _option("", _text, "The folder of the callables that a workflow may name.")

    @classmethod
    def load(cls, get: Callable[[str], str | None]) -> ManagedDagsSettings:
        """Read all options through `get` (key -> text or None where unset). Raises SettingsError."""
        return cls(**_read(cls, MANAGED_DAGS_SECTION, get))


def _read(of: type[Any], section: str, get: Callable[[str], str | None]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for option in dataclasses.fields(of):
        raw = get(option.name)
        if raw is None:
            continue
        try:
            values[option.name] = option.metadata["read"](raw)
        except ValueError as error:
            wrong.append(f"[{section}] {option.name} = {raw!r}: {error}")
    if wrong:
        raise SettingsError("; ".join(wrong))
    return values
