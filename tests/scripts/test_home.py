"""A local Airflow's home keeps its secrets to its owner, and never overrides what the caller has said."""

import configparser
import json

import pytest
from local_airflow.home import USERS, Home


@pytest.fixture
def home(tmp_path):
    """Makes a Home of the same folder, with the given environment added."""
    return lambda **environment: Home({"AIRFLOW_HOME": str(tmp_path / "home"), **environment})


def config_of(home):
    config = configparser.RawConfigParser()
    config.read(home.path / "airflow.cfg")
    return config


def mode(path):
    return path.stat().st_mode & 0o777


def test_secrets_are_the_owner_s_alone_and_no_two_homes_share_one(home, tmp_path):
    first, other = home(), Home({"AIRFLOW_HOME": str(tmp_path / "other")})
    first.passwords()
    assert mode(first.path) == 0o700
    assert mode(first.path / "airflow.cfg") == 0o600
    assert mode(first.path / "simple_auth_manager_passwords.json.generated") == 0o600
    keys = [config_of(of)["core"]["fernet_key"] for of in (first, other)]
    assert len(set(keys)) == 2


def test_a_second_start_finds_the_secrets_and_passwords_of_the_first(home):
    first = home()
    before = (first.path / "airflow.cfg").read_text(), first.passwords()
    second = home()
    assert ((second.path / "airflow.cfg").read_text(), second.passwords()) == before


def test_a_password_that_is_given_replaces_the_last_one_and_stays(home):
    generated = home().passwords()
    given = home(OP_PASSWORD="new").passwords()
    assert given == {**generated, "op": "new"}
    assert home().passwords() == given


def test_airflow_s_processes_do_not_see_the_passwords(home):
    given = {f"{name.upper()}_PASSWORD": f"secret-{name}" for name in USERS}
    environment = home(**given, OTHER="kept").variables(8080)
    assert "secret" not in json.dumps(environment)
    assert environment["OTHER"] == "kept"


def test_a_variable_of_the_caller_is_passed_on_as_it_is(home):
    given = {
        "AIRFLOW__CORE__EXECUTOR": "SomeExecutor",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "me:admin",
        "AIRFLOW__XTENDED_API__MAX_FILE_MB": "1",
    }
    environment = home(**given).variables(8080)
    assert given.items() <= environment.items()


def test_an_airflow_cfg_that_is_there_is_left_alone_and_heeded(home, tmp_path):
    text = "[core]\nload_examples = True\n[api]\nport = 9999\n[webserver]\nweb_server_port = 9999\n"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "airflow.cfg").write_text(text)
    found = home()
    assert (found.path / "airflow.cfg").read_text() == text
    assert found.port == 9999
    assert "AIRFLOW__CORE__LOAD_EXAMPLES" not in found.variables(found.port)
    # What the file leaves open is set as in a new home.
    assert "AIRFLOW__CORE__EXECUTOR" in found.variables(found.port)


def test_a_variable_wins_over_airflow_cfg(home):
    home()
    name = "AIRFLOW__API__PORT" if home().kind == "airflow3" else "AIRFLOW__WEBSERVER__WEB_SERVER_PORT"
    assert home(**{name: "7777"}).port == 7777


def test_a_relative_home_is_made_absolute_for_the_database_s_sake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Home({"AIRFLOW_HOME": "here"}).variables(8080)["AIRFLOW_HOME"] == str(tmp_path / "here")
