"""An outlet is asked as liblsl would ask it, and what it answers is checked before a sample is believed."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmi_decoder.machine.live.feed_fields import DOUBLE64, FLOAT32, INT8, INT16, INT32, INT64
from services.ingest.handshake import (
    TYPES,
    OtherOutletError,
    UnusableFeedError,
    pattern_values,
    request,
    sample_bytes,
    shake_hands,
)
from tests.ingest.outlets import HEAD, greeting, patterns, wanted

TIMEOUT_S = 20.0


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The outlet's end, and the inlet's."""
    outlet, inlet = socket.socketpair()
    with outlet, inlet:
        yield outlet, inlet


@pytest.mark.parametrize("form", [FLOAT32, DOUBLE64, INT32, INT16, INT8, INT64])
def test_nothing_is_taken_beyond_the_test_samples(ends: tuple[socket.socket, socket.socket], form: int) -> None:
    outlet, inlet = ends
    outlet.sendall(greeting(form) + b"\x02first")
    shake_hands(inlet, wanted(form), TIMEOUT_S)
    assert inlet.recv(100) == b"\x02first"
    assert outlet.recv(4096) == request(wanted(form))


def test_the_values_of_test_samples() -> None:
    """As liblsl sends them: signs alternate, and small formats wrap below their largest number."""
    assert pattern_values(FLOAT32, 4, 4).tolist() == [4, -5, 6, -7]
    assert pattern_values(DOUBLE64, 3, 2).tolist() == [16777219, -16777220, 16777221]
    assert pattern_values(INT8, 124, 4).tolist()[-3:] == [-126, 0, -1]
    assert pattern_values(INT64, 2, 2).tolist() == [2147483651, -2147483652]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (HEAD.replace(b"200 OK", b"505 Version not supported"), "505"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "HTTP"),
        (HEAD.replace(b"Data-Protocol-Version: 110", b"Data-Protocol-Version: 100"), "version 100"),
        (HEAD.replace(b"Data-Protocol-Version: 110\r\n", b""), "version 100"),
        (HEAD.replace(b"1234", b"4321"), "byte order"),
        (greeting()[:-1] + b"!", "test samples"),
        (greeting(DOUBLE64), "test samples"),
        (b"x" * 20000, "does not end"),
    ],
)
def test_another_protocol_is_left_to_liblsl(ends: tuple[socket.socket, socket.socket], answer: bytes, why: str) -> None:
    outlet, inlet = ends
    outlet.sendall(answer)
    with pytest.raises(UnusableFeedError, match=why):
        shake_hands(inlet, wanted(), TIMEOUT_S)


@pytest.mark.parametrize("answer", [b"LSL/110 404 Not found", HEAD.replace(b"b1c4", b"ffff")])
def test_another_outlet_is_none(ends: tuple[socket.socket, socket.socket], answer: bytes) -> None:
    """Its port may be taken by the next program."""
    outlet, inlet = ends
    outlet.sendall(answer)
    outlet.shutdown(socket.SHUT_WR)
    with pytest.raises(OtherOutletError):
        shake_hands(inlet, wanted(), TIMEOUT_S)


@pytest.mark.parametrize("said", [b"", b"LSL/110 200", HEAD, greeting()[:-1]])
def test_an_end_or_silence_is_an_error(ends: tuple[socket.socket, socket.socket], said: bytes) -> None:
    outlet, inlet = ends
    outlet.sendall(said)
    with pytest.raises(TimeoutError):
        shake_hands(inlet, wanted(), 0.05)
    outlet.sendall(said)
    outlet.shutdown(socket.SHUT_WR)
    with pytest.raises((ConnectionResetError, UnusableFeedError)):
        shake_hands(inlet, wanted(), TIMEOUT_S)


def test_an_outlet_that_drips_is_not_awaited_for_ever(ends: tuple[socket.socket, socket.socket]) -> None:
    outlet, inlet = ends
    over = threading.Event()

    def drip() -> None:
        for byte in HEAD:
            if over.wait(0.02):
                return
            outlet.sendall(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    with pytest.raises(TimeoutError):
        shake_hands(inlet, wanted(), 0.2)
    over.set()
    thread.join()


def test_an_answer_may_come_in_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
    outlet, inlet = ends

    def drip() -> None:
        for byte in greeting():
            outlet.sendall(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    shake_hands(inlet, wanted(), TIMEOUT_S)
    thread.join()


PIECES = [*HEAD.splitlines(keepends=True), patterns(), b"\r\n", b":", b"\xff"]


@settings(max_examples=300, deadline=None)
@given(
    answer=st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from(PIECES), max_size=9).map(b"".join),
    )
)
def test_any_answer_is_taken_or_refused(answer: bytes) -> None:
    outlet, inlet = socket.socketpair()
    with outlet, inlet:
        outlet.sendall(answer)
        outlet.shutdown(socket.SHUT_WR)
        try:
            shake_hands(inlet, wanted(), TIMEOUT_S)
        except (UnusableFeedError, OtherOutletError, ConnectionResetError):
            return
        assert answer.startswith(b"LSL/") and patterns() in answer


def test_a_test_sample_is_laid_out_as_any_other() -> None:
    assert sample_bytes(1.5, pattern_values(FLOAT32, 2, 2)) == b"\x02" + struct.pack("<dff", 1.5, 2.0, -3.0)
    assert set(TYPES) == {FLOAT32, DOUBLE64, INT32, INT16, INT8, INT64}
