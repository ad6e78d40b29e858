"""Programs of one instruction: every kind has one, with the bytes that it touches."""

from __future__ import annotations

import numpy as np
import pytest

from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from services.bench.bandwidth import Bandwidth
from services.bench.machine.cases import CALL, TYPICAL_SIZES, cases
from services.bench.machine.command import _chosen, summarise


def test_every_instruction_has_a_typical_size() -> None:
    """A new kind of length needs an entry in `TYPICAL_SIZES`."""
    names = [case.name for case in cases(2, 0.02)]
    assert names[0] == CALL
    assert {name.partition(",")[0] for name in names[1:]} == {i.name for i in INSTRUCTIONS.values()}


def test_programs_run() -> None:
    for case in cases(2, 0.02):
        case.once()
        case.many()


def test_bytes_of_the_dense_layer() -> None:
    n_in, n_out = TYPICAL_SIZES["n_in"], TYPICAL_SIZES["n_out"]
    by_name = {case.name: case.n_bytes for case in cases(2, 0.25)}
    vectors = n_in + 2 * n_out  # input, bias and output
    assert by_name["linear"] == 4 * (n_in * n_out + vectors)
    assert by_name["linear, 25% active"] == 4 * (n_in // 4 * n_out + vectors)
    assert by_name[CALL] == 0


def test_hot_times_are_of_one_instruction_without_the_call() -> None:
    chosen = _chosen(cases(10, 0.02), "affine")
    assert [case.name for case in chosen] == [CALL, "affine"]
    hot = {CALL: [np.full(4, 500), np.full(4, 600)], "affine": [np.full(4, 1500), np.full(4, 1600)]}
    cadence = {name: [np.full(4, 3000)] for name in hot}
    bandwidth = Bandwidth(4096, 8192, l2=[100e9], memory=[10e9])
    call, affine = summarise(chosen, hot, cadence, bandwidth)
    assert call["hot_us"]["p50"] == 0.55
    assert affine["hot_us"]["p50"] == 0.1
    assert affine["cadence_us"]["p50"] == 3.0
    assert affine["share_of_l2_bandwidth"] == pytest.approx(affine["bytes"] / 100 / 100, abs=1e-3)
