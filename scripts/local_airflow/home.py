"""The AIRFLOW_HOME of a local Airflow: its airflow.cfg, its generated secrets and its users' passwords.

What the caller's environment or an airflow.cfg that is there already says is never overridden.
"""

from __future__ import annotations

import configparser
import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

USERS = ("admin", "op", "user", "viewer")
DEFAULT_PORT = 8080
_PASSWORDS = "simple_auth_manager_passwords.json.generated"  # the name that Airflow 3 gives its file

# On Airflow 2, SQLite allows no other executor.
_DEFAULTS: dict[str, dict[tuple[str, str], str]] = {
    "airflow3": {
        ("core", "executor"): "LocalExecutor",
        ("core", "load_examples"): "False",
        ("core", "parallelism"): "8",
        ("core", "simple_auth_manager_users"): ",".join(f"{name}:{name}" for name in USERS),
        ("api", "host"): "127.0.0.1",
        ("usage_data_collection", "enabled"): "False",
        ("xtended_api", "allow_task_execution"): "True",
    },
    "airflow2": {
        ("core", "executor"): "SequentialExecutor",
        ("core", "load_examples"): "False",
        ("api", "auth_backends"): (
            "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,airflow.api.auth.backend.session"
        ),
        ("webserver", "web_server_host"): "127.0.0.1",
        ("webserver", "workers"): "2",
        ("usage_data_collection", "enabled"): "False",
        ("xtended_api", "allow_task_execution"): "True",
    },
}
_SECRETS = {
    "airflow3": (("core", "fernet_key"), ("api", "secret_key"), ("api_auth", "jwt_secret")),
    "airflow2": (
        ("core", "fernet_key"),
        ("core", "internal_api_secret_key"),
        ("webserver", "secret_key"),
    ),
}
_CLONE = Path(__file__).resolve().parents[2]
_HOMES = {"airflow3": _CLONE / ".airflow", "airflow2": _CLONE / ".airflow2"}
_PORT = {"airflow3": ("api", "port"), "airflow2": ("webserver", "web_server_port")}
_HOST_ADDRESS = {"airflow3": ("api", "host"), "airflow2": ("webserver", "web_server_host")}


def variable(section: str, key: str) -> str:
    """The environment variable that sets this option in Airflow."""
    return f"AIRFLOW__{section.upper()}__{key.upper()}"


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


class Home:
    """The AIRFLOW_HOME that the environment names, else one in the clone; made ready on construction."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.airflow_version = version("apache-airflow")
        self.kind = "airflow2" if self.airflow_version.startswith("2.") else "airflow3"
        self.path = Path(environment.get("AIRFLOW_HOME") or _HOMES[self.kind]).resolve()
        self._environment = environment
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.path / "logs").mkdir(exist_ok=True)
        self._config = self._load_or_write_config()
        if self.option("core", "dags_folder") is None:
            (self.path / "dags").mkdir(exist_ok=True)

    def option(self, section: str, key: str) -> str | None:
        """What the environment, else airflow.cfg says; None where neither does."""
        given = self._environment.get(variable(section, key))
        if given is not None:
            return given
        return self._config.get(section, key, fallback=None)

    @property
    def port(self) -> int:
        """The port that the configuration names."""
        return int(self.option(*_PORT[self.kind]) or DEFAULT_PORT)

    @property
    def address(self) -> str:
        """The address that the web process listens at."""
        return self.option(*_HOST_ADDRESS[self.kind]) or _DEFAULTS[self.kind][_HOST_ADDRESS[self.kind]]

    @property
    def uses_fab(self) -> bool:
        """Whether users live in Flask-AppBuilder's tables, rather than in a file of passwords."""
        manager = self.option("core", "auth_manager") or ""
        return self.kind == "airflow2" or manager.endswith("FabAuthManager")

    def variables(self, port: int) -> dict[str, str]:
        """The environment of Airflow's processes, without the passwords in the caller's."""
        result = {k: v for k, v in self._environment.items() if k not in _password_variables().values()}
        result["AIRFLOW_HOME"] = str(self.path)
        result[variable(*_PORT[self.kind])] = str(port)
        wanted = dict(_DEFAULTS[self.kind])
        if self.kind == "airflow3":
            wanted["api", "base_url"] = f"http://localhost:{port}"
            wanted["core", "execution_api_server_url"] = f"http://localhost:{port}/execution/"
        else:
            # Its executor starts tasks with the `airflow` that it finds on the path.
            result["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{result.get('PATH', os.defpath)}"
        for (section, key), value in wanted.items():
            if self.option(section, key) is None:
                result[variable(section, key)] = value
        return result

    def passwords(self) -> dict[str, str]:
        """Each user's password: from <NAME>_PASSWORD, else the one of the last start, else a new one."""
        file = self.path / _PASSWORDS
        known = json.loads(file.read_text()) if file.exists() else {}
        given = {name: self._environment.get(var) for name, var in _password_variables().items()}
        known |= {name: given[name] or known.get(name) or secrets.token_urlsafe(12) for name in USERS}
        write_private(file, json.dumps(known) + "\n")
        return {name: known[name] for name in USERS}

    def _load_or_write_config(self) -> configparser.RawConfigParser:
        config = configparser.RawConfigParser()
        path = Path(self._environment.get("AIRFLOW_CONFIG") or self.path / "airflow.cfg")
        if not path.exists():
            write_private(path, _first_config(self.kind))
        config.read(path)
        return config


def _password_variables() -> dict[str, str]:
    return {name: f"{name.upper()}_PASSWORD" for name in USERS}


def _first_config(kind: str) -> str:
    """An airflow.cfg with the defaults and new secrets, so that `airflow` on the command line agrees."""
    options = dict(_DEFAULTS[kind])
    for name in _SECRETS[kind]:
        # A Fernet key has 32 bytes; tokens are signed with SHA-512, which wants 64.
        size = 32 if name == ("core", "fernet_key") else 64
        options[name] = urlsafe_b64encode(secrets.token_bytes(size)).decode()
    lines = ["# Written once, on the first start. Yours to change: it is read, never written again."]
    for section in dict.fromkeys(section for section, _ in options):
        lines += ["", f"[{section}]"]
        lines += [f"{key} = {value}" for (of, key), value in options.items() if of == section]
    return "\n".join(lines) + "\n"
