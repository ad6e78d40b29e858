from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from bmi_decoder.errors import ProgramError
from bmi_decoder.machine.program import Program
from tests.machine.test_verify import PROGRAM

DATA = PROGRAM.to_bytes()
ARRAYS = {name: getattr(PROGRAM, name) for name in ("instructions", "params", "initial_state")}
LAYOUT = {
    "format": 1,
    "arena_size": PROGRAM.arena_size,
    "n_inputs": PROGRAM.n_inputs,
    "n_outputs": PROGRAM.n_outputs,
    "state_fields": {name: list(value) for name, value in PROGRAM.state_fields.items()},
}


def written(arrays: dict[str, np.ndarray] | None = None, **changes: Any) -> bytes:
    return save(ARRAYS if arrays is None else arrays, metadata={"layout": json.dumps({**LAYOUT, **changes})})


def test_round_trip() -> None:
    again = Program.from_bytes(DATA)
    for name, array in ARRAYS.items():
        got = getattr(again, name)
        assert got.dtype == array.dtype
        assert np.array_equal(got, array)
        assert got.flags.c_contiguous
        assert got.flags.writeable
    assert (again.arena_size, again.n_inputs, again.n_outputs) == (PROGRAM.arena_size, 6, 8)
    assert again.state_fields == PROGRAM.state_fields
    assert again.to_bytes() == DATA, "equal programs have equal bytes"
    assert Program.from_bytes(written()).to_bytes() == DATA


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2, this version reads format 1"),
        ({"format": "2" * 5000}, "^.{,300}$"),
        ({"state_fields": {"m": "2" * 5000}}, "^.{,300}$"),
        ({"arena_size": "9"}, "sizes must be integers"),
        ({"arena_size": 9.0}, "sizes must be integers"),
        ({"n_inputs": True}, "sizes must be integers"),
        ({"n_outputs": None}, "sizes must be integers"),
        ({"arena_size": 10**30}, "arena of 10{30} elements"),
        ({"state_fields": [1]}, "no readable layout"),
        ({"state_fields": {"m": 3}}, "no readable layout"),
        ({"state_fields": {"m": [0, 1, 2]}}, "no readable layout"),
        ({"state_fields": {"m": [0, float("inf")]}}, "no readable layout"),
        ({"state_fields": {"m": [0, 10**30]}}, "state field 'm'"),
    ],
)
def test_bad_layouts_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        Program.from_bytes(written(**changes))


def test_missing_extra_and_wrong_arrays_are_refused() -> None:
    with pytest.raises(ProgramError, match="must hold instructions, params and initial_state"):
        Program.from_bytes(written({"params": PROGRAM.params}))
    with pytest.raises(ProgramError, match="must hold instructions, params and initial_state"):
        Program.from_bytes(written({**ARRAYS, "more": PROGRAM.params}))
    with pytest.raises(ProgramError, match="int64"):
        Program.from_bytes(written({**ARRAYS, "instructions": PROGRAM.instructions.astype(np.int32)}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        b"PK\x03\x04" + bytes(100),
        (2**63).to_bytes(8, "little") + DATA[8:],
        save(ARRAYS),
        save(ARRAYS, metadata={"layout": "[" * 100_000}),
        save(ARRAYS, metadata={"layout": "null"}),
        save(ARRAYS, metadata={"other": "{}"}),
    ],
    ids=["empty", "short", "zip", "header", "no metadata", "deep", "null", "other"],
)
def test_foreign_data_is_refused(data: bytes) -> None:
    with pytest.raises(ProgramError, match=r"layout|safetensors"):
        Program.from_bytes(data)


@pytest.mark.parametrize("cut", [*range(0, 40, 3), *range(40, len(DATA), 97), len(DATA) - 1])
def test_truncated_data_is_refused(cut: int) -> None:
    with pytest.raises(ProgramError):
        Program.from_bytes(DATA[:cut])


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_data_is_refused_or_safe(changes: list[tuple[int, int]]) -> None:
    """Nothing but a ProgramError comes out, and what is accepted has passed `verify`."""
    data = bytearray(DATA)
    for at, value in changes:
        data[at] = value
    try:
        program = Program.from_bytes(bytes(data))
    except ProgramError:
        return
    program.verify()
