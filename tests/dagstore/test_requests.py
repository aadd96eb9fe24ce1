"""The same request twice is done once, and answered the same."""

from __future__ import annotations

import os
import threading
import time

import pytest

from xtended.dagstore import ChangeSet, DagStore
from xtended.problems import BadRequest, FolderBusy


def test_the_second_request_gets_the_first_ones_answer(store):
    with store.once("ada", "key", "POST deploy_dag") as once:
        assert once.answer is None
        once.answer = {"status": 200, "body": {"message": "é"}}
    with store.once("ada", "key", "POST deploy_dag") as once:
        assert once.answer == {"status": 200, "body": {"message": "é"}}


def test_keys_of_two_users_are_two_keys(store):
    with store.once("ada", "key", "f") as once:
        once.answer = {"status": 200}
    with store.once("bob", "key", "f") as once:
        assert once.answer is None


def test_a_key_is_for_one_request(store):
    with store.once("ada", "key", "POST deploy_dag") as once:
        once.answer = {"status": 200}
    with pytest.raises(BadRequest, match="another request"), store.once("ada", "key", "POST purge_dags"):
        pass


def test_a_request_that_failed_can_be_tried_again(store):
    with pytest.raises(RuntimeError), store.once("ada", "key", "f"):
        raise RuntimeError
    with store.once("ada", "key", "f") as once:
        assert once.answer is None


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_a_sensible_length(store, key):
    with pytest.raises(BadRequest), store.once("ada", key, "f"):
        pass


def test_the_second_waits_for_the_first(root, store, tmp_path):
    answers = []

    def second():
        with store.once("ada", "key", "f") as once:
            answers.append(once.answer)

    with store.once("ada", "key", "f") as once:
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.05)
        assert answers == []
        once.answer = {"status": 200}
    waiting.join()
    assert answers == [{"status": 200}]
    impatient = DagStore(root, tmp_path / "history", lock_timeout=0.05)
    with store.once("ada", "other", "f"), pytest.raises(FolderBusy), impatient.once("ada", "other", "f"):
        pass


def test_a_change_whose_answer_was_lost_is_known_by_its_revision(store):
    with (
        store.once("ada", "key", "f") as once,
        store.stage(ChangeSet({"a.py": b"1"}), force=False) as staged,
        store.apply(
            staged, author="ada", operation="deploy_dag", message="", request_key=once.key
        ) as revision,
    ):
        pass  # and killed before it could answer
    with store.once("ada", "key", "f") as once:
        assert once.answer is None
        assert once.revision == revision


def test_answers_are_forgotten_after_a_day(store, tmp_path):
    with store.once("ada", "key", "f") as once:
        once.answer = {"status": 200}
    (kept,) = (tmp_path / "history/xtended/requests").iterdir()
    store.tend()
    assert kept.exists()
    os.utime(kept, (0, 0))
    store.tend()
    assert not kept.exists()


def test_half_an_answer_is_none(store, tmp_path):
    with store.once("ada", "key", "f") as once:
        once.answer = {"status": 200}
    (kept,) = (tmp_path / "history/xtended/requests").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    with store.once("ada", "key", "f") as once:
        assert once.answer is None
