"""A correct login is remembered for a short time; a wrong one, and the password itself, never."""

from __future__ import annotations

import pickle
import time

import pytest

from xtended.airflow_host import logins
from xtended.airflow_host.logins import LoginCache


def test_a_correct_login_is_remembered() -> None:
    cache: LoginCache[str] = LoginCache(60)
    cache.remember("admin", "pass", "token")
    assert cache.get("admin", "pass") == "token"


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "other"), ("adminp", "ass"), ("", "adminpass"), ("Admin", "pass")]
)
def test_another_login_is_not(name: str, password: str) -> None:
    cache: LoginCache[str] = LoginCache(60)
    cache.remember("admin", "pass", "token")
    assert cache.get(name, password) is None


def test_it_is_forgotten_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cache: LoginCache[str] = LoginCache(60)
    cache.remember("admin", "pass", "token")
    now = time.monotonic()
    monkeypatch.setattr(logins.time, "monotonic", lambda: now + 61)
    assert cache.get("admin", "pass") is None


def test_it_is_forgotten_when_asked_to() -> None:
    cache: LoginCache[str] = LoginCache(60)
    cache.remember("admin", "pass", "token")
    cache.forget("admin", "pass")
    assert cache.get("admin", "pass") is None


def test_zero_seconds_remember_nothing() -> None:
    cache: LoginCache[str] = LoginCache(0)
    cache.remember("admin", "pass", "token")
    assert cache.get("admin", "pass") is None


def test_many_logins_do_not_fill_the_memory() -> None:
    cache: LoginCache[int] = LoginCache(60)
    for number in range(logins.MAX_ENTRIES + 5):
        cache.remember("user", str(number), number)
    assert len(cache._entries) == logins.MAX_ENTRIES
    assert cache.get("user", "0") is None
    assert cache.get("user", str(logins.MAX_ENTRIES + 4)) == logins.MAX_ENTRIES + 4


def test_no_password_is_kept() -> None:
    cache: LoginCache[str] = LoginCache(60)
    cache.remember("admin", "a-very-secret-password", "token")
    assert b"a-very-secret-password" not in pickle.dumps((cache._entries, cache._key))
