"""What travels between web workers and the parser arrives as it was sent, or is refused."""

from __future__ import annotations

import json
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtended.airflow_host.base import ImportProblem, ParsedDag, ParsedFile
from xtended.dagparse import protocol
from xtended.dagparse.protocol import (
    FrameReader,
    FrameTooLong,
    ParseRequest,
    ProtocolError,
    encode,
    file_frame,
    read_file,
    receive_request,
    send_request,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(frames=st.lists(st.dictionaries(st.text(), VALUES), max_size=4), data=st.data())
def test_frames_survive_any_cut(frames: list[protocol.Frame], data: st.DataObject) -> None:
    frames = [{**frame, "kind": "any"} for frame in frames]
    stream = b"".join(encode(frame) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader()
    received: list[protocol.Frame] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += reader.feed(stream[start:end])
    assert received == frames


@pytest.mark.parametrize("body", [b"nothing", b"[]", b"{}", b'{"kind": 1}', b"\xff"])
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        FrameReader().feed(struct.pack("!I", len(body)) + body)


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(FrameTooLong):
        FrameReader().feed(struct.pack("!I", protocol.MAX_FRAME + 1))


def test_a_frame_over_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_FRAME", 100)
    with pytest.raises(FrameTooLong):
        encode({"kind": "file", "path": "x" * 100})


def test_a_parsed_file_arrives_as_it_was_sent() -> None:
    parsed = ParsedFile(
        path="team/one.py",
        dags=(ParsedDag.of("one", {"dag": {"dag_id": "one", "tasks": [{"retries": 2}], "ratio": 0.1}}),),
        import_problems=(ImportProblem("team/one.py", 3, "ValueError: ö", "Traceback ..."),),
        warnings=({"dag_id": "one", "message": "m", "warning_type": "t"},),
        seconds=0.25,
    )
    sent = json.loads(encode(file_frame(parsed))[4:])
    received = read_file(sent)
    assert received == parsed
    assert received.dags[0].data() == {"dag": {"dag_id": "one", "tasks": [{"retries": 2}], "ratio": 0.1}}


def test_a_request_reaches_the_supervisor_with_its_connection() -> None:
    request = ParseRequest(
        "/root", "/live", "dags-folder", tuple(f"{n}.py" for n in range(20_000)), 1.5, 2**20
    )
    orders, supervisors_end = socket.socketpair()
    client, connection = socket.socketpair()
    with orders, supervisors_end, client, connection:
        threading.Thread(target=send_request, args=(orders, request, connection)).start()
        order = receive_request(supervisors_end)
        assert order is not None
        received, passed = order
        assert received == request
        with passed:
            passed.sendall(b"hello")
            assert client.recv(5) == b"hello"


def test_a_supervisor_without_a_request_is_told() -> None:
    orders, supervisors_end = socket.socketpair()
    with supervisors_end:
        orders.close()
        assert receive_request(supervisors_end) is None
