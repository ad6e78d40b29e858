"""Samples are read from a connection as the protocol has them, however they come."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmi_decoder.machine.live.feed_fields import DOUBLE64, FLOAT32, INT8, INT16, INT32, INT64
from services.ingest.feed import StrayFeedError
from services.ingest.handshake import TYPES, Wanted
from tests.ingest.outlets import LOST, MALFORMED, N_CHANNELS, RATE_HZ, Line, sample, wanted

VALUES = [0.0, 1.0, -2.0, 3.0, 100.0]


@contextmanager
def connected(ask: Wanted | None = None) -> Iterator[Line]:
    line = Line(ask or wanted())
    try:
        yield line
    finally:
        line.close()


@pytest.mark.parametrize("form", [FLOAT32, DOUBLE64, INT32, INT16, INT8, INT64])
def test_every_format_becomes_float32(form: int) -> None:
    with connected(wanted(form)) as line:
        line.outlet.sendall(sample(3.5, VALUES, TYPES[form].str))
        assert line.pull(1.0) == (3.5, VALUES)
        assert line.pull() is None


def test_large_numbers_are_rounded_as_numpy_does() -> None:
    values = [2**31 + 1, -(2**40) - 3, 7, 2**24 + 1, 2**62 + 12345]
    with connected(wanted(INT64)) as line:
        line.outlet.sendall(sample(1.0, values, "i8"))
        assert line.pull(1.0) == (1.0, np.array(values).astype(np.float32).tolist())


def test_a_stamp_that_is_not_sent_follows_the_one_before() -> None:
    with connected() as line:
        line.outlet.sendall(sample(2.0, VALUES) + sample(None, VALUES) + sample(None, VALUES) + sample(9.0, VALUES))
        stamps = [line.pull(1.0) for _ in range(4)]
    assert [stamp[0] for stamp in stamps if isinstance(stamp, tuple)] == [2, 2.125, 2.25, 9]


def test_a_wait_ends_when_the_last_byte_has_come() -> None:
    """TCP may cut a sample anywhere."""
    data = sample(2.0, VALUES)
    with connected() as line:
        for byte in data[:-1]:
            line.outlet.sendall(bytes([byte]))
            assert line.pull() is None
        sender = threading.Timer(0.05, line.outlet.sendall, [data[-1:] + data[:7]])
        sender.start()
        assert line.pull(30.0) == (2.0, VALUES)
        sender.join()
        assert line.pull(0.001) is None
        line.outlet.sendall(data[7:])
        assert line.pull(1.0) == (2.0, VALUES)


def test_what_came_before_the_end_is_not_lost() -> None:
    with connected() as line:
        line.outlet.sendall(sample(1.0, VALUES) + sample(2.0, VALUES) + b"\x02half a sample")
        line.outlet.close()
        assert [line.pull(1.0) for _ in range(4)] == [(1.0, VALUES), (2.0, VALUES), LOST, LOST]


def test_an_end_is_seen_while_waiting() -> None:
    with connected() as line:
        end = threading.Timer(0.05, line.outlet.close)
        end.start()
        assert line.pull(30.0) == LOST
        end.join()


def test_what_is_no_sample_is_said() -> None:
    with connected() as line:
        line.outlet.sendall(sample(1.0, VALUES) + b"HTTP/1.1 400 Bad Request\r\n")
        assert [line.pull(1.0) for _ in range(3)] == [(1.0, VALUES), MALFORMED, MALFORMED]


@pytest.mark.parametrize("stamped", [True, False])
def test_of_what_is_too_old_the_newest_is_kept(stamped: bool) -> None:
    """One second of a stream; who is away for longer finds the rest gone, and the stamps tell."""
    n, kept = 400, 40
    data = [sample(k / RATE_HZ if stamped or not k else None, [float(k)] * N_CHANNELS) for k in range(n)]
    with connected(wanted(n_buffered=kept)) as line:
        line.outlet.sendall(b"".join(data))
        got = [pulled for _ in range(n) if isinstance(pulled := line.pull(), tuple)]
    values = [row[0] for _, row in got]
    # What is kept is counted in bytes, and a sample without a stamp has fewer.
    most = (kept + 2 * (kept // 8)) * len(data[0]) / len(data[1])
    assert values == list(range(n - len(values), n)) and kept <= len(values) <= most
    assert [stamp for stamp, _ in got] == [value / RATE_HZ for value in values]


def test_how_much_waits_is_known() -> None:
    with connected() as line:
        assert line.feed.waiting() == 0
        line.outlet.sendall(sample(1.0, VALUES) * 5 + b"\x02")
        assert line.feed.waiting() == 5
        line.pull(1.0)
        assert line.feed.waiting() == 4


def row(value: int) -> list[float]:
    return [float(value)] * N_CHANNELS


def test_a_feed_catches_up_with_another_way() -> None:
    """And the next sample is the one behind it, whatever had come before."""
    data = [sample(k / RATE_HZ if k < 3 or k == 5 else None, row(k)) for k in range(7)]
    with connected() as line:
        assert not line.feed.catch_up(0.5)
        line.outlet.sendall(b"".join(data[:4]) + data[4][:10])
        assert not line.feed.catch_up(0.5)
        line.outlet.sendall(data[4][10:] + b"".join(data[5:]))
        assert line.feed.catch_up(0.5)
        assert [line.pull(1.0) for _ in range(3)] == [(0.625, row(5)), (0.75, row(6)), None]


def test_stamps_that_follow_from_one_that_did_not_come_match_nothing() -> None:
    """They would be counted from another moment on each connection."""
    with connected() as line:
        line.outlet.sendall(sample(None, row(0)) * 3 + sample(2.0, row(1)) + sample(None, row(2)))
        assert not line.feed.catch_up(2 / RATE_HZ)
        assert line.feed.catch_up(2.0)
        assert line.pull(1.0) == (2.0 + 1 / RATE_HZ, row(2))


def test_of_samples_with_one_stamp_the_last_counts() -> None:
    with connected() as line:
        line.outlet.sendall(b"".join(sample(stamp, row(k)) for k, stamp in enumerate([1.0, 2.0, 2.0, 2.0, 3.0])))
        assert line.feed.catch_up(2.0)
        assert line.pull(1.0) == (3.0, row(4))


def test_a_worker_that_is_behind_catches_up_later() -> None:
    """The buffer holds less than came meanwhile; what is too old for it makes room."""
    with connected() as line:
        for k in range(30):
            line.outlet.sendall(sample(float(k), row(k)))
        assert not any(line.feed.catch_up(-1.0) for _ in range(4))
        assert line.feed.catch_up(27.0)
        assert line.pull(1.0) == (28.0, row(28))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (sample(1.0, VALUES) * 400, "not those that liblsl brings"),
        (sample(1.0, VALUES) + b"HTTP/1.1", "no sample"),
        (b"", "ended the connection"),
    ],
)
def test_a_feed_that_never_catches_up_is_given_up(data: bytes, why: str) -> None:
    with connected() as line:
        line.outlet.sendall(data)
        line.outlet.close()
        with pytest.raises(StrayFeedError, match=why):
            while not line.feed.catch_up(99.0):
                pass


def decode(data: bytes) -> list[tuple[float, list[float]] | int]:
    """What the protocol says of these bytes, and of their end."""
    results: list[tuple[float, list[float]] | int] = []
    stamp, at, size = 0.0, 0, 4 * N_CHANNELS
    while at < len(data):
        tag = data[at]
        if tag not in (1, 2):
            return [*results, MALFORMED]
        values_at = at + (9 if tag == 2 else 1)
        if values_at + size > len(data):
            break
        stamp = np.frombuffer(data, "<f8", 1, at + 1)[0] if tag == 2 else stamp + 1 / RATE_HZ
        values = np.frombuffer(data, "<f4", N_CHANNELS, values_at)
        results.append((float(stamp), values.tolist()))
        at = values_at + size
    return [*results, LOST]


CHUNKS = st.lists(
    st.one_of(
        st.builds(sample, st.one_of(st.none(), st.floats(width=64)), st.just(VALUES)),
        st.builds(sample, st.just(1.0), st.lists(st.floats(width=32), min_size=N_CHANNELS, max_size=N_CHANNELS)),
        st.binary(max_size=40),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(chunks=CHUNKS, cuts=st.lists(st.integers(0, 400), max_size=6))
def test_any_bytes_are_read_as_the_protocol_says(chunks: list[bytes], cuts: list[int]) -> None:
    data = b"".join(chunks)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    results: list[tuple[float, list[float]] | int] = []
    with connected(wanted(n_buffered=100)) as line:
        for k in range(len(edges) - 1):
            line.outlet.sendall(data[edges[k] : edges[k + 1]])
            while isinstance(pulled := line.pull(), tuple):
                results.append(pulled)
        line.outlet.close()
        while isinstance(pulled := line.pull(1.0), tuple):
            results.append(pulled)
        assert isinstance(pulled, int)
        results.append(pulled)
    expected = decode(data)
    assert len(results) == len(expected) and results[-1] == expected[-1]
    for got, right in zip(results[:-1], expected[:-1], strict=True):
        assert isinstance(got, tuple) and isinstance(right, tuple)
        np.testing.assert_array_equal([got[0], *got[1]], [right[0], *right[1]])


def test_time_passes_only_as_asked() -> None:
    with connected() as line:
        assert line.pull(0.0) is None and line.pull(1e-6) is None and line.pull(-1.0) is None
        line.outlet.sendall(sample(math.nan, VALUES))
        assert isinstance(line.pull(-1.0), tuple)
