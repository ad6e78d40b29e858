"""Published messages: every byte where docs/reference/wire.md says, and nothing but an InputError from junk."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmi_decoder.errors import InputError
from bmi_decoder.wire import (
    ESTIMATE,
    HEALTH,
    HEARTBEAT,
    MAX_VARIANTS,
    Estimate,
    EstimatePacker,
    Flag,
    Health,
    Heartbeat,
    Variant,
    pack_health,
    pack_heartbeat,
    parse,
)

ALL = (Variant.raw, Variant.low_latency, Variant.high_accuracy)


def message(variants: tuple[Variant, ...] = ALL, n_outputs: int = 2) -> bytes:
    packer = EstimatePacker(variants, n_outputs)
    packer.outputs[:] = np.arange(len(variants) * n_outputs).reshape(packer.outputs.shape) + 0.5
    t_valid = [100.25 - 0.064 * v for v in range(len(variants))]
    return bytes(packer.pack(0x0102030405060708, -2, 100.25, 101.5, Flag.RESET | Flag.WARM_UP, 7, t_valid))


def test_every_field_is_where_the_byte_table_says() -> None:
    frame = message()
    assert frame[0:4] == b"BMID"
    assert struct.unpack_from("<H", frame, 4) == (1,)
    assert frame[6] == 2, "outputs K"
    assert frame[7] == 3, "variants V"
    assert frame[8:16] == bytes([8, 7, 6, 5, 4, 3, 2, 1]), "sequence number, little-endian"
    assert struct.unpack_from("<q", frame, 16) == (-2,), "bin index"
    assert struct.unpack_from("<d", frame, 24) == (100.25,), "t_source"
    assert struct.unpack_from("<d", frame, 32) == (101.5,), "t_publish"
    assert struct.unpack_from("<I", frame, 40) == (1 | 8,), "flags"
    assert struct.unpack_from("<I", frame, 44) == (7,), "revision"
    assert frame[48:56] == bytes([0, 1, 2, 255, 255, 255, 255, 255]), "variant codes, unused ones 255"
    assert frame[56:64] == bytes(8)
    assert struct.unpack_from("<3d", frame, 64) == (100.25, 100.25 - 0.064, 100.25 - 0.128)
    assert struct.unpack_from("<6f", frame, 88) == (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)
    assert len(frame) == 64 + 3 * 8 + 3 * 2 * 4


def test_codes_never_change() -> None:
    assert {flag.name: int(flag) for flag in Flag} == {
        "WARM_UP": 1,
        "HELD": 2,
        "ZEROED": 4,
        "RESET": 8,
        "SWAPPED": 16,
        "INVALID": 32,
    }
    assert {variant.name: int(variant) for variant in Variant} == {"raw": 0, "low_latency": 1, "high_accuracy": 2}
    assert (ESTIMATE, HEALTH, HEARTBEAT) == (b"BMID", b"BMIH", b"BMIB")


FLOATS = st.floats(allow_nan=False)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(ALL), min_size=1, max_size=MAX_VARIANTS),
    st.integers(1, 255),
    st.integers(0, (1 << 64) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1),
    FLOATS,
    FLOATS,
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 1 << 32),
)
def test_estimates_round_trip(
    variants: list[Variant],
    n_outputs: int,
    sequence: int,
    bin_index: int,
    t_source: float,
    t_publish: float,
    flags: int,
    revision: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    packer = EstimatePacker(variants, n_outputs)
    packer.outputs[:] = outputs = rng.standard_normal(packer.outputs.shape).astype(np.float32)
    t_valid = rng.standard_normal(len(variants)).tolist()
    found = parse(bytes(packer.pack(sequence, bin_index, t_source, t_publish, flags, revision, t_valid)))
    assert isinstance(found, Estimate)
    assert (found.sequence, found.bin_index, found.revision) == (sequence, bin_index, revision)
    assert (found.t_source, found.t_publish, int(found.flags)) == (t_source, t_publish, flags)
    assert found.variants == tuple(variants)
    assert found.t_valid.tolist() == t_valid
    assert np.array_equal(found.outputs, outputs)


def test_outputs_that_are_not_finite_arrive_as_they_are() -> None:
    packer = EstimatePacker(ALL[:1], 3)
    packer.outputs[:] = [[math.nan, math.inf, -math.inf]]
    found = parse(bytes(packer.pack(0, 0, 0.0, 0.0, Flag.INVALID, 1, [0.0])))
    assert isinstance(found, Estimate)
    assert np.array_equal(found.outputs, [[math.nan, math.inf, -math.inf]], equal_nan=True)
    assert found.flags == Flag.INVALID


def test_packing_reuses_one_buffer() -> None:
    packer = EstimatePacker(ALL, 2)
    packer.outputs[:] = 1.0
    first = packer.pack(0, 0, 0.0, 0.0, 0, 1, [0.0] * 3)
    kept = bytes(first)
    packer.outputs[:] = 2.0
    assert packer.pack(1, 1, 0.0, 0.0, 0, 1, [0.0] * 3) is first is packer.buffer
    assert bytes(first) != kept


def test_variants_are_found_by_name_and_code() -> None:
    found = parse(message((Variant.raw, Variant.high_accuracy)))
    assert isinstance(found, Estimate)
    assert found.variant("raw").tolist() == found.variant(0).tolist() == [0.5, 1.5]  # type: ignore[arg-type]
    assert found.variant("high_accuracy").tolist() == found.variant(Variant.high_accuracy).tolist() == [2.5, 3.5]
    with pytest.raises(KeyError, match=r"no low_latency output in this stream; it has \['raw', 'high_accuracy'\]"):
        found.variant("low_latency")
    with pytest.raises(KeyError):
        found.variant("smooth")


@pytest.mark.parametrize(("variants", "n_outputs"), [((), 2), (ALL * 3, 2), (ALL, 0), (ALL, 256)])
def test_what_does_not_fit_a_message_is_refused(variants: tuple[Variant, ...], n_outputs: int) -> None:
    with pytest.raises(InputError, match=r"1 to 8 variants of 1 to 255 outputs"):
        EstimatePacker(variants, n_outputs)


def test_heartbeats_round_trip() -> None:
    frame = pack_heartbeat(12.5, 1 << 40, 3)
    assert parse(frame) == Heartbeat(12.5, 1 << 40, 3)
    assert frame[:4] == b"BMIB"
    assert len(frame) == 64
    assert struct.unpack_from("<H", frame, 4) == (1,)
    assert struct.unpack_from("<Q", frame, 8) == (1 << 40,)
    assert struct.unpack_from("<d", frame, 32) == (12.5,)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON))
def test_health_events_round_trip(event: dict) -> None:
    frame = pack_health(event)
    assert parse(frame) == Health(event)
    assert frame[:4] == b"BMIH"
    assert json.loads(frame[4:]) == event


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "not a message of this service: it starts with b''"),
        (b"BM", "not a message of this service"),
        (b"HELO" + bytes(100), "not a message of this service: it starts with b'HELO'"),
        (b"BMID", "cut short: 4 bytes, the header alone has 64"),
        (message()[:63], "cut short"),
        (message()[:-1], "does not hold 3 variants of 2 outputs"),
        (message() + b"\0", "does not hold 3 variants of 2 outputs"),
        (message()[:4] + b"\2\0" + message()[6:], "version 2, this library reads version 1: update the older side"),
        (message()[:48] + b"\7" + message()[49:], "unknown variant"),
        (message()[:7] + b"\xff" + message()[8:], "does not hold 255 variants"),
        (message()[:6] + b"\1\x09" + message()[8:64] + bytes(9 * 8 + 9 * 4), "does not hold 9 variants of 1 outputs"),
        (pack_heartbeat(0.0, 0, 1)[:40], "cut short"),
        (b"BMIH", "health event is not JSON"),
        (b"BMIH{", "health event is not JSON"),
        (b"BMIH\xff\xfe\x00", "health event is not JSON"),
        (b"BMIH[1]", "health event must be a JSON object"),
        (b"BMIH" + b"[" * 200_000, "health event is not JSON"),
    ],
)
def test_what_is_no_message_is_refused(frame: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse(frame)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(
        [message(), message(ALL[:1], 255), pack_heartbeat(1.0, 5, 1), pack_health({"event": "gap", "n": 3})]
    ),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6),
    st.integers(0, 120),
    st.binary(max_size=9),
)
def test_damaged_frames_raise_nothing_but_an_input_error(
    frame: bytes, changes: list[tuple[int, int]], cut: int, tail: bytes
) -> None:
    damaged = bytearray(frame)
    for at, value in changes:
        damaged[at % min(len(damaged), 70)] = value
    for candidate in (
        bytes(damaged),
        bytes(damaged[:cut]),
        bytes(damaged) + tail,
        tail,
        ESTIMATE + tail,
        HEALTH + tail,
    ):
        try:
            found = parse(candidate)
        except InputError:
            continue
        if isinstance(found, Estimate):
            assert found.outputs.shape[0] == len(found.variants) == len(found.t_valid)
