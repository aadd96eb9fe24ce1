"""Options are read as their kind, and every wrong one is named in one error."""

import dataclasses

import pytest

from xtended.settings import SECTION, Settings, SettingsError, parse_boolean

YES = ["y", "yes", "on", "true", "t", "1"]
NO = ["n", "no", "off", "false", "f", "0"]


def load(**options):
    return Settings.load(options.get)


@pytest.mark.parametrize("word", YES)
def test_these_words_mean_yes_in_any_case(word):
    assert parse_boolean(word) is True
    assert parse_boolean(f" {word.upper()} ") is True


@pytest.mark.parametrize("word", NO)
def test_these_words_mean_no_in_any_case(word):
    assert parse_boolean(word) is False
    assert parse_boolean(f" {word.upper()} ") is False


@pytest.mark.parametrize("word", ["", "maybe", "2", "-1", "yess", "none", "y n"])
def test_any_other_word_is_no_boolean_and_the_error_shows_it(word):
    with pytest.raises(ValueError, match="boolean") as raised:
        parse_boolean(word)
    assert repr(word) in str(raised.value)


def test_nothing_set_gives_the_defaults():
    assert load() == Settings()


def test_settings_can_not_be_changed_once_loaded():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().bundle = "other"


def test_every_option_is_read_as_its_type():
    loaded = load(
        bundle=" team-dags ",
        parse_timeout="2.5",
        max_file_mb="7",
        auth_cache_seconds="0",
        upload_roots="/srv/plugins, /srv/my data\n/srv/more",
        purge_keep="shared/**, *.cfg",
        outbound_allow="example.com *.example.org,10.0.0.0/8 ::1/128 192.0.2.1",
    )
    assert loaded == Settings(
        bundle="team-dags",
        parse_timeout=2.5,
        max_file_mb=7,
        auth_cache_seconds=0.0,
        upload_roots=("/srv/plugins", "/srv/my data", "/srv/more"),
        purge_keep=("shared/**", "*.cfg"),
        outbound_allow=("example.com", "*.example.org", "10.0.0.0/8", "::1/128", "192.0.2.1"),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parse_timeout", "0"),
        ("parse_timeout", "-1"),
        ("parse_timeout", "nan"),
        ("parse_timeout", "inf"),
        ("parse_timeout", "soon"),
        ("parse_timeout", ""),
        ("max_file_mb", "0"),
        ("max_file_mb", "1.5"),
        ("max_file_mb", "32MB"),
        ("auth_cache_seconds", "-0.1"),
        ("outbound_allow", "http://example.com"),
        ("outbound_allow", "10.0.0.0/99"),
        ("outbound_allow", "10.0.0.256"),
        ("outbound_allow", "exa mple.com, bad_/name"),
    ],
)
def test_a_wrong_value_is_refused_with_its_option_and_itself(name, value):
    with pytest.raises(SettingsError) as raised:
        load(**{name: value})
    assert f"[{SECTION}] {name} = {value!r}: " in str(raised.value)


def test_one_error_names_every_wrong_option_and_no_right_one():
    with pytest.raises(SettingsError) as raised:
        load(parse_timeout="never", max_file_mb="-3", lock_timeout="5", outbound_allow="a b//c")
    message = str(raised.value)
    assert all(name in message for name in ("parse_timeout", "max_file_mb", "outbound_allow"))
    assert "lock_timeout" not in message
