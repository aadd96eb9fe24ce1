"""What every process of Airflow loads of the extension, and that it can't stop one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from xtended.airflow_host.mounting import on_demand

# What a scheduler, a DAG processor, a command and each task do: they look for listeners, macros and timetables.
LOADED = """
import json
import sys
from airflow.plugins_manager import ensure_plugins_loaded, integrate_macros_plugins
ensure_plugins_loaded()
integrate_macros_plugins()
print(json.dumps(sorted(sys.modules)))
"""


def test_a_process_that_is_no_web_server_loads_nothing_of_the_api() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "xtended.plugin" in loaded
    assert not loaded & {
        "connexion",
        "dulwich",
        "boto3",
        "pymongo",
        "xtended.api",
        "xtended.contract",
        "xtended.services",
    }


def test_what_is_mounted_is_made_once_and_when_it_is_asked_for() -> None:
    made: list[str] = []
    plugin = type("Plugin", (), {"apps": on_demand(lambda: [made.append("made")])})
    assert made == []
    # Airflow takes entries that clash with another plugin's out of the very list.
    assert plugin().apps is plugin().apps
    assert made == ["made"]


def test_what_fails_while_it_is_mounted_is_logged_and_does_not_stop_airflow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> list[object]:
        raise ImportError("no module named connexion")

    plugin = type("Plugin", (), {"apps": on_demand(fail)})
    assert plugin().apps == []
    assert "no module named connexion" in caplog.text
