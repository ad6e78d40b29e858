"""Hot swaps on a live stream: every message of every bin, and what it was decoded with."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pylsl
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.formats import read_recording, write_npz
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Output, Recording
from bmi_decoder.rest_models import SessionStatus
from bmi_decoder.wire import Estimate, Flag
from tests.control.support import BIN_S, N_CHANNELS, write_linear_bundle
from tests.system.conftest import Rig, StartSession, Trained
from tests.system.support import Live
from tests.waiting import eventually

FILTERS = {"low_latency": {"cutoff_hz": 8, "width": 24}, "high_accuracy": {"cutoff_hz": 6.25, "width": 40}}


class Swaps:
    """Changes of a live session, one after the other, while its messages are received."""

    def __init__(self, live: Live) -> None:
        self._live = live
        status = live.status
        self.settings = {status.revision: status.settings}

    def change(self, **settings: Any) -> SessionStatus:
        """Swap, and receive until something of the new revision has come."""
        return self._wait(lambda: self._live.client.change_session(self._live.name, **settings))

    def roll_back(self) -> SessionStatus:
        return self._wait(lambda: self._live.client.roll_back_session(self._live.name))

    def _wait(self, act: Any) -> SessionStatus:
        received = self._live.received
        with ThreadPoolExecutor(1) as pool:
            asked: Future[SessionStatus] = pool.submit(act)
            received.until(asked.done, 120)
        status = asked.result()
        self.settings[status.revision] = status.settings
        received.until(lambda: received.estimates[-1].revision == status.revision)
        received.until_estimates(len(received.estimates) + 20)
        return status

    def check(self, counts: npt.NDArray[Any], bundles: dict[str, Path], loop: int) -> None:
        """Every bin once; each stretch bit for bit as offline from the first bin of its shadow run on."""
        estimates = self._live.received.estimates
        n = len(estimates)
        assert [estimate.sequence for estimate in estimates] == list(range(n))
        assert [estimate.bin_index for estimate in estimates] == list(range(n))
        rows = counts[np.arange(n) % loop]
        starts = self._live.received.flagged(Flag.SWAPPED)
        changes = [k for k in range(1, n) if estimates[k].revision != estimates[k - 1].revision]
        assert starts == changes
        assert not self._live.received.flagged(~(Flag.SWAPPED | Flag.WARM_UP))
        assert max(self._live.received.flagged(Flag.WARM_UP), default=0) < starts[0]
        events = [event for event in self._live.received.events if event["event"] in ("swap", "rolled_back")]
        assert [event["revision"] for event in events] == [estimates[k].revision for k in starts]
        # A revision that is rolled back to on the spot has been running since its own shadow run began.
        begun = {estimates[0].revision: 0}
        for start, stop in zip([0, *starts], [*starts, n], strict=True):
            revision = estimates[start].revision
            if start and (event := events[starts.index(start)])["event"] == "swap":
                begun[revision] = start - event["shadow_bins"]
            settings = self.settings[revision]
            bundle = read_bundle(bundles[settings.decoder])
            pipeline = Pipeline(bundle, settings.output_filters, settings.masked_channels)
            expected = pipeline.run(rows[begun[revision] : stop])[start - begun[revision] :]
            assert expected.shape[1] == len(estimates[start].variants)
            np.testing.assert_array_equal([one.outputs for one in estimates[start:stop]], expected)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds that fit the linear decoders."""
    rng = np.random.default_rng(12)
    outputs = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    path = tmp_path_factory.mktemp("recordings") / "short.npz"
    counts = rng.integers(0, 3, (2500, N_CHANNELS))
    write_npz(Recording(counts, rng.standard_normal((2500, 2)), outputs, BIN_S), path)
    return path


def test_back_and_forth_at_250_hz(
    recording: Path, start_session: StartSession, linear_bundle: Path, rig: Rig, tmp_path: Path
) -> None:
    other = write_linear_bundle(tmp_path / "other.bmi", gain=-0.3)
    live = start_session(linear_bundle)
    first, second = live.status.decoder, live.client.upload_decoder(other).id
    rig(recording, "--loop")
    live.received.until_estimates(50)
    swaps = Swaps(live)
    swaps.change(decoder=second)
    swaps.change(output_filters=FILTERS)
    swaps.change(decoder=first, output_filters={})
    assert swaps.roll_back().revision == 3
    swaps.change(decoder=first)
    swaps.change(masked_channels=[2, 6])
    swaps.change(decoder=second, output_filters=None)
    swaps.check(read_recording(recording).counts, {first: linear_bundle, second: other}, 2500)
    assert live.status.restarts == 0


def test_trained_decoders_at_1_khz(trial: Path, trained: Trained, start_session: StartSession, rig: Rig) -> None:
    split = ("--preset", "paper", "--split", "0.5,0.3,0.2")
    spiking, lstm = trained(trial, "snn_streaming", *split), trained(trial, "lstm", *split)
    live = start_session(spiking)
    first, second = live.status.decoder, live.client.upload_decoder(lstm).id
    counts = read_recording(trial).counts
    rig(trial, "--loop")
    live.received.until_estimates(100)
    swaps = Swaps(live)
    swaps.change(decoder=second)
    swaps.change(decoder=first)
    swaps.change(decoder=second)
    swaps.check(counts, {first: spiking, second: lstm}, len(counts))


def test_a_decoder_that_fails_behind_the_switch(
    start_session: StartSession, linear_bundle: Path, stream_name: str, tmp_path: Path
) -> None:
    """The bin on which it overflows is published by the former one, and the store knows."""
    fragile = write_linear_bundle(tmp_path / "fragile.bmi", gain=float(np.finfo(np.float32).max) / 2)
    outlet = pylsl.StreamOutlet(
        pylsl.StreamInfo(stream_name, "spikes", N_CHANNELS, 1 / BIN_S, "float32", stream_name), chunk_size=1
    )
    live = start_session(linear_bundle)
    eventually(outlet.have_consumers, bool)
    start, rows = pylsl.local_clock(), []

    def push(value: float, n: int) -> list[Estimate]:
        for _ in range(n):
            rows.append([value] * N_CHANNELS)
            outlet.push_sample(rows[-1], start + len(rows) * BIN_S)
        live.received.until_estimates(len(rows))
        return live.received.estimates[-n:]

    push(0, 50)
    former = live.status
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(live.client.change_session, live.name, decoder=live.client.upload_decoder(fragile).id)
        # Bins come far faster than real time here, and the probation is a number of bins: none while the answer is due.
        while not asked.done() and push(0, 10)[-1].revision == 1:
            pass
    assert asked.result().revision == 2
    assert push(0, 20)[-1].revision == 2
    failing, *after = push(1, 30)
    assert (failing.revision, failing.flags) == (1, Flag.SWAPPED)
    assert {estimate.revision for estimate in after} == {1}
    offline = Pipeline(read_bundle(linear_bundle)).run(rows)
    stretch = [estimate.outputs for estimate in live.received.estimates[-30:]]
    np.testing.assert_array_equal(stretch, offline[-30:])
    assert not live.received.flagged(Flag.INVALID)
    live.received.until_event("rolled_back")
    status = eventually(lambda: live.status, lambda status: status.decoder == former.decoder)
    assert (status.revision, status.bins_invalid) == (1, 0)
    last = live.client.revisions(live.name)[-1]
    assert (last.revision, last.state, last.reason) == (2, "rolled_back", "its output was not finite")
