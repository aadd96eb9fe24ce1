"""A refresh token is its user's until it expires, is taken back, or makes room for a newer one."""

from __future__ import annotations

import os
import time
from pathlib import Path

from xtended.refresh_tokens import MOST_PER_USER, RefreshTokens


def test_it_is_its_users_and_nobody_elses(tmp_path: Path) -> None:
    tokens = RefreshTokens(tmp_path / "tokens", 60)
    ada, bob = tokens.issue("ada"), tokens.issue("bob")
    assert (tokens.user(ada), tokens.user(bob)) == ("ada", "bob")
    assert RefreshTokens(tmp_path / "tokens", 60).user(ada) == "ada"
    for wrong in ("", "*", ada[:-1], f"{ada} ", "../x", "\udcff"):
        assert tokens.user(wrong) is None


def test_it_expires(tmp_path: Path) -> None:
    assert RefreshTokens(tmp_path, 0.0).user(RefreshTokens(tmp_path, 0.0).issue("ada")) is None


def test_what_has_expired_is_forgotten(tmp_path: Path) -> None:
    tokens = RefreshTokens(tmp_path, 60)
    tokens.issue("ada")
    (old,) = tmp_path.iterdir()
    os.utime(old, (time.time() - 61,) * 2)
    tokens.issue("bob")
    assert not old.exists()


def test_it_is_worthless_once_revoked(tmp_path: Path) -> None:
    tokens = RefreshTokens(tmp_path, 60)
    kept, lost = tokens.issue("ada"), tokens.issue("ada")
    tokens.revoke(lost)
    tokens.revoke(lost)
    tokens.revoke("*")
    assert (tokens.user(kept), tokens.user(lost)) == ("ada", None)


def test_the_oldest_of_too_many_makes_room(tmp_path: Path) -> None:
    tokens = RefreshTokens(tmp_path, 10_000)
    other = tokens.issue("bob")
    issued, past = [], time.time() - 5000
    for number in range(MOST_PER_USER + 5):
        known = set(tmp_path.iterdir())
        issued.append(tokens.issue("ada"))
        (newest,) = set(tmp_path.iterdir()) - known
        os.utime(newest, (past + number,) * 2)
    assert [tokens.user(token) for token in issued[:5]] == [None] * 5
    assert {tokens.user(token) for token in issued[5:]} == {"ada"}
    assert tokens.user(other) == "bob"
