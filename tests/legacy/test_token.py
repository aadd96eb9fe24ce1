"""The token of the older plugin: whom it lets in, and that it grants nothing by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from xtended.airflow_host.identity import User, VouchedCredentials
from xtended.binding import offered_spec
from xtended.legacy.refusals import PATHS
from xtended.legacy.token import check_token
from xtended.problems import Forbidden
from xtended.settings import OlderPluginSettings, Settings, SettingsError

TOKEN = "changeme"
WORKER = User("worker", None)


def services(token: str = TOKEN, user: str = "worker") -> Any:
    return SimpleNamespace(
        older_plugin=OlderPluginSettings(rest_api_plugin_expected_http_token=token),
        settings=Settings(legacy_token_user=user),
        host=SimpleNamespace(identity=SimpleNamespace(named={"worker": WORKER}.get)),
    )


def test_the_token_acts_as_the_user_that_is_named() -> None:
    assert check_token(services(), TOKEN) == VouchedCredentials(WORKER)


@pytest.mark.parametrize("token", ["", "changem", "changeme ", "Changeme", "changemechangeme", "\udcff", "ü"])
def test_any_other_token_is_refused_in_the_documented_words(token: str) -> None:
    with pytest.raises(Forbidden, match=r"^Token Authentication Failed$"):
        check_token(services(), token)


@pytest.mark.parametrize("user", ["", "no such user"])
def test_without_its_user_the_token_grants_nothing(user: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Forbidden):
        check_token(services(user=user), TOKEN)
    assert "legacy_token_user" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["", TOKEN])
def test_where_no_token_is_set_none_is_one(token: str) -> None:
    assert check_token(services(token=""), token) is None


def test_the_older_section_is_read_as_the_older_plugin_read_it() -> None:
    written = {
        "log_loading": "False",
        "filter_loading_messages_in_cli_response": "True",
        "rest_api_plugin_http_token_header_name": "x-token",
        "rest_api_plugin_expected_http_token": TOKEN,
    }
    read = OlderPluginSettings.load(written.get)
    assert read.rest_api_plugin_http_token_header_name == "x-token"
    assert TOKEN not in repr(read)
    with pytest.raises(SettingsError, match=r"\[rest_api_plugin\] log_loading"):
        OlderPluginSettings.load({"log_loading": "perhaps"}.get)


def test_the_older_urls_can_be_taken_away() -> None:
    assert set(PATHS) <= offered_spec(Settings())["paths"].keys()
    without = offered_spec(Settings(legacy_urls=False))
    assert not set(PATHS) & without["paths"].keys()
    assert "older urls" not in {tag["name"] for tag in without["tags"]}
