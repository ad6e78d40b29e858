"""What a subscriber receives is bit for bit what ``bmi-decoder decode`` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pylsl
import pytest

from bmi_decoder.wire import Flag
from tests.control.support import BIN_S, N_CHANNELS
from tests.system.conftest import Rig, StartSession, Trained
from tests.system.support import Live, decode_offline
from tests.waiting import eventually

SPEED = "100"
"""Of the replays of 50 ms bins: 2,000 bins/s."""

VARIANTS = ("raw", "low_latency", "high_accuracy")


def replay(live: Live, rig: Rig, recording: Path, n_bins: int, *options: str) -> None:
    """Play a recording into a session and receive all of it."""
    live.wait_connected()
    playing = rig(recording, *options)
    live.received.until_estimates(n_bins)
    assert playing.wait() == 0
    # The outlets are gone by now, so that nothing more can come.
    live.received.until(lambda: any(event["event"] == "lost" for event in live.received.events))


def assert_equal(live: Live, offline: dict[str, npt.NDArray[Any]]) -> None:
    received = live.received
    n_bins = len(offline["t_source"])
    assert received.sequences == list(range(n_bins))
    assert received.indices == list(range(n_bins))
    assert received.subscriber.lost == 0
    for variant in VARIANTS:
        np.testing.assert_array_equal(received.outputs(variant), offline[variant])
    assert {estimate.flags & ~Flag.WARM_UP for estimate in received.estimates} == {Flag(0)}
    assert received.happened == ["connected", "lost"]
    status = live.status
    assert (status.bins_in, status.bins_decoded) == (n_bins, n_bins)
    assert (status.bins_lost, status.bins_duplicated, status.bins_invalid) == (0, 0, 0)


def assert_times(live: Live, offline: dict[str, npt.NDArray[Any]], speed: float) -> None:
    """Lookahead and warm-up as offline, on a clock that runs `speed` times faster."""
    t_source = np.array([estimate.t_source for estimate in live.received.estimates])
    t_valid = np.array([estimate.t_valid for estimate in live.received.estimates])
    for v, variant in enumerate(VARIANTS):
        lookahead = offline["t_source"] - offline[f"t_valid_{variant}"]
        np.testing.assert_allclose(t_source - t_valid[:, v], lookahead / speed, atol=1e-6)


@pytest.mark.parametrize(("decoder", "preset"), [("lstm", "paper"), ("snn_streaming", "best")])
def test_whole_recording_faster_than_real_time(
    decoder: str, preset: str, stevenson: Path, trained: Trained, start_session: StartSession, rig: Rig, tmp_path: Path
) -> None:
    bundle = trained(stevenson, decoder, "--preset", preset)
    offline = decode_offline(bundle, stevenson, tmp_path)
    live = start_session(bundle)
    replay(live, rig, stevenson, len(offline["t_source"]), "--speed", SPEED)
    assert_equal(live, offline)
    assert_times(live, offline, float(SPEED))


def test_with_an_input_filter(
    stevenson: Path, trained: Trained, start_session: StartSession, rig: Rig, tmp_path: Path
) -> None:
    bundle = trained(stevenson, "snn_streaming", "--preset", "paper", "--input-filter", "low_latency")
    offline = decode_offline(bundle, stevenson, tmp_path)
    live = start_session(bundle)
    replay(live, rig, stevenson, len(offline["t_source"]), "--speed", SPEED)
    assert_equal(live, offline)


def test_a_trial_at_1_khz_in_real_time(
    trial: Path, trained: Trained, start_session: StartSession, rig: Rig, tmp_path: Path
) -> None:
    bundle = trained(trial, "snn_streaming", "--preset", "paper", "--split", "0.5,0.3,0.2")
    offline = decode_offline(bundle, trial, tmp_path)
    live = start_session(bundle)
    replay(live, rig, trial, len(offline["t_source"]))
    assert_equal(live, offline)
    assert_times(live, offline, 1.0)


def test_the_worker_bins_what_comes_in_narrower_bins(
    trial: Path, trained: Trained, start_session: StartSession, rig: Rig, tmp_path: Path
) -> None:
    """A decoder of 10 ms bins on a stream of 1 ms bins; offline the reader joins them."""
    bundle = trained(trial, "lstm", "--preset", "paper", "--split", "0.5,0.25,0.25", "--bin-ms", "10")
    offline = decode_offline(bundle, trial, tmp_path)
    live = start_session(bundle)
    replay(live, rig, trial, len(offline["t_source"]))
    assert_equal(live, offline)


@pytest.mark.parametrize("channel_format", ["int16", "double64"])
def test_samples_of_other_formats(
    channel_format: str, start_session: StartSession, linear_bundle: Path, stream_name: str
) -> None:
    info = pylsl.StreamInfo(stream_name, "spikes", N_CHANNELS, 1 / BIN_S, channel_format, stream_name)
    outlet = pylsl.StreamOutlet(info, chunk_size=1)
    live = start_session(linear_bundle)
    eventually(outlet.have_consumers, bool)
    counts = np.random.default_rng(13).integers(0, 100, (100, N_CHANNELS))
    stamps = pylsl.local_clock() + BIN_S * np.arange(1, 101)
    for row, stamp in zip(counts.tolist(), stamps.tolist(), strict=True):
        outlet.push_sample(row, stamp)
    live.received.until_estimates(100)
    np.testing.assert_array_equal(live.received.outputs("raw")[:, 0], counts.sum(axis=1))
