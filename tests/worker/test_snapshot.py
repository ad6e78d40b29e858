"""A state that is taken between two bins, and a worker that goes on from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.config import SnapshotSettings
from bmi_decoder.errors import InputError
from bmi_decoder.wire import Flag
from services.worker.snapshot import SnapshotRequest, resume
from tests.control.support import N_CHANNELS
from tests.worker.test_decode import HIGH_ACCURACY_WIDTH, Bench


def taken(bench: Bench) -> SnapshotRequest:
    request = SnapshotRequest()
    bench.decoder.ask(request)
    bench.decoder.take_requests()
    assert request.wait(0)
    return request


def snapshot(request: SnapshotRequest) -> SnapshotSettings:
    return SnapshotSettings(since_reset=request.since_reset, pending=request.pending, state=request.encoded)


@pytest.mark.parametrize("bins", [0, 7, 60])
def test_another_worker_goes_on_bit_for_bit(tmp_path: Path, bins: int) -> None:
    counts = np.random.default_rng(4).integers(0, 3, (120, N_CHANNELS), np.uint8)
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one, other = Bench(tmp_path / "one"), Bench(tmp_path / "other")
    one.decode(counts[:bins])
    request = taken(one)
    assert (request.revision, request.sequence, request.since_reset) == (5, bins, bins)
    resume(other.decoder, snapshot(request))
    expected, found = one.decode(counts[bins:], first=bins), other.decode(counts[bins:], first=bins)
    assert [estimate.outputs.tobytes() for estimate in found] == [estimate.outputs.tobytes() for estimate in expected]
    assert [estimate.flags for estimate in found] == [estimate.flags for estimate in expected]
    assert sum(bool(estimate.flags & Flag.WARM_UP) for estimate in found) == max(0, HIGH_ACCURACY_WIDTH - 1 - bins)
    np.testing.assert_array_equal([estimate.t_valid for estimate in found], [estimate.t_valid for estimate in expected])


def test_a_reset_that_was_not_announced_yet_comes_along(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.decoder.reset()
    request = taken(bench)
    resume(bench.decoder, snapshot(request))
    (estimate,) = bench.decode(np.ones(N_CHANNELS))
    assert estimate.flags & Flag.RESET


@pytest.mark.parametrize("state", ["", "AAAA", "no base64!"])
def test_a_state_of_something_else_is_refused(tmp_path: Path, state: str) -> None:
    with pytest.raises(InputError, match="state"):
        resume(Bench(tmp_path).decoder, SnapshotSettings(since_reset=0, state=state))
