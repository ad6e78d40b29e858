"""A live session that publishes over LSL too, and a receiver that stays through a swap."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pylsl

from bmi_decoder.wire import Estimate, Flag
from tests.control.support import BIN_S, N_CHANNELS
from tests.system.conftest import StartSession
from tests.waiting import eventually

FIRST, OTHER = ({"high_accuracy": {"cutoff_hz": 6.25, "width": width}} for width in (32, 40))


def test_a_receiver_stays_through_a_swap(start_session: StartSession, linear_bundle: Path, stream_name: str) -> None:
    outlet = pylsl.StreamOutlet(
        pylsl.StreamInfo(stream_name, "spikes", N_CHANNELS, 1 / BIN_S, "float32", stream_name), chunk_size=1
    )
    live = start_session(linear_bundle, lsl_outlets=True, output_filters=FIRST)
    eventually(outlet.have_consumers, bool)
    (info,) = pylsl.resolve_byprop("name", f"{live.name}-high_accuracy", 1, 20.0)
    inlet = pylsl.StreamInlet(info, recover=False)
    inlet.open_stream(20.0)
    declared = float(inlet.info(20.0).desc().child("synchronization").child_value("offset_mean"))

    begin, pushed = pylsl.local_clock(), 0

    def push(n: int) -> list[Estimate]:
        """Push bins, and hold what both kinds of receiver get against each other."""
        nonlocal pushed
        for _ in range(n):
            pushed += 1
            outlet.push_sample([pushed % 3] * N_CHANNELS, begin + pushed * BIN_S)
        live.received.until_estimates(pushed)
        estimates = live.received.estimates[-n:]
        samples = [inlet.pull_sample(20.0) for _ in range(n)]
        outputs = [estimate.variant("high_accuracy") for estimate in estimates]
        np.testing.assert_array_equal([row[:-1] for row, _ in samples], outputs)
        assert [int(row[-1]) for row, _ in samples] == [estimate.flags for estimate in estimates]
        described = [
            (stamp - declared, estimate.t_valid[1])
            for (_, stamp), estimate in zip(samples, estimates, strict=True)
            if not estimate.flags & Flag.WARM_UP
        ]
        np.testing.assert_allclose(*np.transpose(described), rtol=0, atol=1e-9)
        return estimates

    before = push(200)[-1]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(live.client.change_session, live.name, output_filters=OTHER)
        # A swap goes on with bins, which come faster here than in real time.
        while not asked.done():
            push(10)
    assert asked.result().revision == 2
    after = push(50)[-1]
    assert after.t_source - after.t_valid[1] != before.t_source - before.t_valid[1]
    assert live.status.restarts == 0
