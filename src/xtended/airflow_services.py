"""Airflow's long-running processes as services: which arguments each takes, and what may be said in them.

Nothing that a client sends is seen by a shell: each argument is checked, and passed as an item of a list. Files are
below AIRFLOW_HOME, and named as what they are, so that no log takes the place of a DAG file or of the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from xtended.airflow_host.base import ServiceName
from xtended.api import Call
from xtended.daemons import Daemon, Daemons, NewDaemon
from xtended.problems import BadRequest, Conflict, ServicesOff

NAMES: tuple[ServiceName, ...] = get_args(ServiceName)
LOG_SUFFIXES = (".log", ".out", ".err")
HIDDEN = "***"

_WORD = r"[A-Za-z0-9_][\w.@/-]*"
_HOST = r"[A-Za-z0-9_][\w.:-]*"
_QUEUES = r"[A-Za-z0-9_][\w.-]*(,[A-Za-z0-9_][\w.-]*)*"
_URL = r"https?://[^\s'\"\\`$<>|;&]+"


@dataclass(frozen=True)
class _Option:
    """How one argument is passed: as the option `flag`, or as the variable `environment` where it may hold a secret."""

    flag: str = ""
    environment: str = ""
    pattern: str = ""
    file: bool = False


_OPTIONS: Mapping[ServiceName, Mapping[str, _Option]] = {
    "scheduler": {"num_runs": _Option("--num-runs")},
    "worker": {
        "queues": _Option("--queues", pattern=_QUEUES),
        "concurrency": _Option("--concurrency"),
    },
    "flower": {
        "hostname": _Option("--hostname", pattern=_HOST),
        "port": _Option("--port"),
        "flower_conf": _Option("--flower-conf", file=True),
        "broker_api": _Option(environment="FLOWER_BROKER_API", pattern=_URL),
    },
    "kerberos": {
        "principal": _Option(pattern=_WORD),
        "keytab": _Option("--keytab", file=True),
    },
    "serve_logs": {},
}
_OF_EACH = frozenset({"pid", "stdout", "stderr", "log_file"})


@dataclass(frozen=True)
class Service:
    """A service, and the last process that was started for it. `missing` says what it lacks here."""

    name: ServiceName
    daemon: Daemon | None
    missing: str | None


def start(call: Call, name: ServiceName, arguments: Mapping[str, Any]) -> Daemon:
    """Raises ServicesOff, BadRequest, Conflict (running already, not installed, ended at once)."""
    _require_allowed(call)
    options = _OPTIONS[name]
    unknown = sorted(arguments.keys() - options.keys() - _OF_EACH)
    if unknown:
        raise BadRequest(f"The service {name!r} takes no argument {unknown[0]!r}.")
    home = call.services.host.home().resolve()
    words: list[str] = []
    environment: dict[str, str] = {}
    for key, option in options.items():
        if key not in arguments:
            continue
        text = _checked(key, option, arguments[key], home)
        if option.environment:
            environment[option.environment] = text
        else:
            words += [option.flag, text] if option.flag else [text]
    output = _output(home, arguments, "log_file", LOG_SUFFIXES)
    new = NewDaemon(
        name,
        [*call.services.host.service_command(name), *words],
        call.user.name,
        {
            key: HIDDEN if key in options and options[key].environment else value
            for key, value in arguments.items()
        },
        environment,
        stdout=_output(home, arguments, "stdout", LOG_SUFFIXES) or output,
        stderr=_output(home, arguments, "stderr", LOG_SUFFIXES) or output,
        pid_file=_output(home, arguments, "pid", (".pid",)),
    )
    daemon = _daemons(call).start(new)
    _audit(call, "xtended.start_service", name)
    return daemon


def stop(call: Call, name: ServiceName) -> None:
    """Raises ServicesOff, NotFound where it is not running."""
    _require_allowed(call)
    _daemons(call).stop(name)
    _audit(call, "xtended.stop_service", name)


def listed(call: Call) -> list[Service]:
    """All services, running or not. Raises ServicesOff."""
    _require_allowed(call)
    daemons = _daemons(call)
    return [Service(name, daemons.find(name), _missing(call, name)) for name in NAMES]


def relative_log(call: Call, daemon: Daemon) -> str:
    """Where the log is, without telling where AIRFLOW_HOME is."""
    return str(Path(daemon.log).relative_to(call.services.host.home().resolve()))


def _require_allowed(call: Call) -> None:
    if not call.services.settings.allow_services:
        raise ServicesOff(
            "Starting services is turned off here: it takes [xtended_api] allow_services = True."
        )


def _missing(call: Call, name: ServiceName) -> str | None:
    try:
        call.services.host.service_command(name)
    except Conflict as problem:
        return problem.detail
    return None


def _daemons(call: Call) -> Daemons:
    return Daemons(call.services.host.home().resolve() / "xtended" / "services")


def _audit(call: Call, event: str, name: ServiceName) -> None:
    with call.services.host.entities.change() as changes:
        changes.audit(event, call.user.name, {"service": name})


def _checked(key: str, option: _Option, value: Any, home: Path) -> str:
    text = str(value)
    if option.file:
        path = _below(home, key, text)
        if not path.is_file():
            raise BadRequest(f"There is no file {text!r} below AIRFLOW_HOME.")
        return str(path)
    if option.pattern and not re.fullmatch(option.pattern, text):
        raise BadRequest(f"{key} has characters that are not allowed in it.")
    return text


def _output(home: Path, arguments: Mapping[str, Any], key: str, suffixes: tuple[str, ...]) -> Path | None:
    if key not in arguments:
        return None
    path = _below(home, key, str(arguments[key]))
    if path.suffix not in suffixes:
        raise BadRequest(f"{key} must end in {' or '.join(suffixes)}.")
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise BadRequest(f"{key} must be a file in a folder that is there.")
    return path


def _below(home: Path, key: str, text: str) -> Path:
    """The file that an argument names, however it is spelled; links that lead out of AIRFLOW_HOME are not followed."""
    path = (home / text).resolve() if text and "\0" not in text and "\\" not in text else home
    if path == home or not path.is_relative_to(home):
        raise BadRequest(f"{key} must be a path below AIRFLOW_HOME.")
    return path
