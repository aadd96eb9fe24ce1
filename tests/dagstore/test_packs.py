"""Packs written here are packs to every git."""

from __future__ import annotations

from dulwich.object_format import SHA1
from dulwich.objects import Blob
from dulwich.pack import Pack, apply_delta
from hypothesis import example, given
from hypothesis import strategies as st

from xtended.dagstore.packs import Record, delta, write_pack
from xtended.dagstore.trees import BLOB, object_id

TEXT = st.lists(st.sampled_from([b"a", b"b\n", b"long line of text\n" * 20]), max_size=30).map(b"".join)


@given(TEXT, TEXT)
@example(b"x" * 200_000, b"x" * 100_000 + b"y" + b"x" * 100_000)
@example(b"x" * 0x10000, b"x" * 0x10001)
@example(b"", b"")
def test_a_delta_makes_one_of_the_other(base, target):
    assert b"".join(apply_delta(base, delta(base, target))) == target


def test_a_small_change_makes_a_small_delta():
    base = bytes(range(256)) * 1000
    assert len(delta(base, base[:9000] + b"changed" + base[9000:])) < 60


def test_a_pack_holds_what_was_put_in(tmp_path):
    contents = [b"line\n" * 500 + b"%d" % number for number in range(30)]
    ids = [object_id(BLOB, content) for content in contents]
    records = [Record(ids[0], BLOB, contents[0])]
    for newer, older in zip(range(29), range(1, 30), strict=True):
        records.append(Record(ids[older], BLOB, delta(contents[newer], contents[older]), ids[newer]))
    name = write_pack(tmp_path, len(records), records)
    with Pack(str(tmp_path / name), object_format=SHA1) as pack:
        pack.check()
        assert {entry.id: entry.data for entry in pack.iterobjects()} == {
            Blob.from_string(content).id: content for content in contents
        }
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".idx", ".pack"]
    assert (tmp_path / f"{name}.pack").stat().st_size < 2000
