"""What a subscriber and an operator see when the stream breaks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pylsl
import pytest

from bmi_decoder.formats import write_npz
from bmi_decoder.recording import Output, Recording
from bmi_decoder.wire import Flag
from tests.control.support import BIN_S, N_CHANNELS
from tests.system.conftest import Rig, StartSession
from tests.system.support import Live
from tests.waiting import eventually


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds that fit the linear decoder."""
    rng = np.random.default_rng(10)
    outputs = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    path = tmp_path_factory.mktemp("recordings") / "short.npz"
    write_npz(Recording(rng.integers(0, 3, (2500, N_CHANNELS)), rng.standard_normal((2500, 2)), outputs, BIN_S), path)
    return path


def test_a_rig_that_is_killed_and_started_again(
    recording: Path, start_session: StartSession, linear_bundle: Path, rig: Rig
) -> None:
    live = start_session(linear_bundle)
    received = live.received
    first = rig(recording, "--loop")
    received.until_estimates(100)
    first.process.kill()
    first.wait()
    received.until_event("lost")
    live.wait_state("searching")
    n_before = len(received.estimates)
    beats = len(received.heartbeats)
    received.until(lambda: len(received.heartbeats) > beats)
    assert received.heartbeats[-1].next_sequence == n_before

    rig(recording, "--loop")
    received.until_estimates(n_before + 100)
    status = live.wait_state("running")
    assert received.sequences == list(range(len(received.estimates)))
    assert received.subscriber.lost == 0
    assert received.flagged(Flag.RESET) == [n_before]
    assert received.estimates[n_before].flags & Flag.WARM_UP
    indices = np.array(received.indices)
    assert np.all(np.diff(indices) >= 1)
    assert indices[n_before] - indices[n_before - 1] > 1
    assert live.received.happened == ["connected", "lost", "connected"]
    assert received.events[-1]["event"] == "recovered"
    assert (status.restarts, status.bins_duplicated) == (0, 0)


def test_a_rig_that_pauses_is_no_error(
    recording: Path, start_session: StartSession, linear_bundle: Path, rig: Rig
) -> None:
    """Heartbeats tell a quiet rig from a dead worker; the readiness of the session says how old its newest bin is."""
    live = start_session(linear_bundle)
    playing = rig(recording, "--loop")
    live.received.until_estimates(50)
    playing.process.send_signal(signal.SIGSTOP)
    beats = len(live.received.heartbeats)
    live.received.until(lambda: len(live.received.heartbeats) >= beats + 2)
    status = live.status
    assert status.state == "running"
    assert status.last_bin_age_s is not None and status.last_bin_age_s > 0.5
    assert status.stream is not None and status.stream.state == "lost"
    n = len(live.received.estimates)
    playing.process.send_signal(signal.SIGCONT)
    live.received.until_estimates(n + 50)
    assert live.received.sequences == list(range(len(live.received.estimates)))


def test_a_rig_that_hangs_and_comes_back_beside_itself(
    recording: Path, start_session: StartSession, linear_bundle: Path, rig: Rig
) -> None:
    """The old connection stands, and nothing comes through it."""
    live = start_session(linear_bundle)
    hanging = rig(recording, "--loop", "--source-id", "rig-1")
    live.received.until_estimates(50)
    hanging.process.send_signal(signal.SIGSTOP)
    live.received.until_event("lost")
    n_before = len(live.received.estimates)
    rig(recording, "--loop", "--source-id", "rig-1")
    live.received.until_estimates(n_before + 50)
    assert live.received.happened == ["connected", "lost", "connected"]
    assert live.received.flagged(Flag.RESET) == [n_before]
    assert live.received.sequences == list(range(len(live.received.estimates)))


def test_a_stream_that_comes_back_as_another_is_refused_until_it_fits(
    recording: Path, start_session: StartSession, linear_bundle: Path, stream_name: str, rig: Rig
) -> None:
    live = start_session(linear_bundle)
    first = rig(recording, "--loop")
    live.received.until_estimates(50)
    first.process.kill()
    first.wait()
    info = pylsl.StreamInfo(stream_name, "spikes", N_CHANNELS + 1, 1 / BIN_S, "float32", f"{stream_name}-other")
    wrong = pylsl.StreamOutlet(info)
    live.received.until_event("mismatch")
    status = eventually(lambda: live.status, lambda status: "refused, " in status.message)
    assert status.state == "searching" and f"has {N_CHANNELS + 1} channels" in status.message
    assert status.stream is not None and (status.stream.state, status.stream.mismatches) == ("mismatch", 1)
    n_before = len(live.received.estimates)
    rig(recording, "--loop")
    live.received.until_estimates(n_before + 50)
    assert live.received.happened == ["connected", "lost", "mismatch", "connected"]
    assert live.wait_state("running").restarts == 0
    del wrong


class TestOutlet:
    """An outlet in this process, whose samples are stamped as a test wants and pushed at the pace of a rig.

    Sample k of the 250 Hz grid holds k + 1 on every channel.
    """

    __test__ = False

    def __init__(self, name: str) -> None:
        info = pylsl.StreamInfo(name, "spikes", N_CHANNELS, 1 / BIN_S, "float32", name)
        self._outlet = pylsl.StreamOutlet(info, chunk_size=1)

    def wait_consumer(self) -> None:
        eventually(self._outlet.have_consumers, bool)
        self._start = pylsl.local_clock()

    def push(self, samples: Iterable[int], value: float | None = None, ahead: int = 0) -> None:
        """Push samples when they are due, with the stamps of those so far `ahead`."""
        for k in samples:
            row = [float(k + 1 if value is None else value)] * N_CHANNELS
            time.sleep(max(0.0, self._start + (k + 1) * BIN_S - pylsl.local_clock()))
            self._outlet.push_sample(row, self._start + (k + 1 + ahead) * BIN_S)


def connected(live: Live, stream_name: str) -> TestOutlet:
    """An outlet that a session has found, whose every event is received."""
    live.wait_connected()
    outlet = TestOutlet(stream_name)
    outlet.wait_consumer()
    return outlet


def broken_stream(
    start_session: StartSession, bundle: Path, stream_name: str, samples: Iterable[int], **settings: Any
) -> Live:
    """A session that has received all of a stream that skips samples; the last sample is 149."""
    live = start_session(bundle, **settings)
    outlet = connected(live, stream_name)
    outlet.push(samples)
    live.received.until(lambda: bool(live.received.estimates) and live.received.outputs("raw")[-1, 0] == 8 * 150)
    # Counters are published behind the last estimate.
    eventually(lambda: live.status, lambda status: status.bins_decoded == len(live.received.estimates))
    assert live.received.sequences == list(range(len(live.received.estimates)))
    return live


def all_but(*missing: int) -> list[int]:
    return [k for k in range(150) if k not in missing]


@pytest.mark.parametrize(("policy", "flag"), [("hold", Flag.HELD), ("zero", Flag.ZEROED)])
def test_a_gap_that_is_filled(
    policy: str, flag: Flag, start_session: StartSession, linear_bundle: Path, stream_name: str
) -> None:
    live = broken_stream(start_session, linear_bundle, stream_name, all_but(60, 61, 62, 100), gap_policy=policy)
    received = live.received
    assert received.indices == list(range(150))
    assert received.flagged(flag) == [60, 61, 62, 100]
    assert received.flagged(Flag.RESET) == []
    expected = 8.0 * np.arange(1, 151)
    expected[[60, 61, 62, 100]] = expected[[59, 59, 59, 99]] if policy == "hold" else 0
    np.testing.assert_array_equal(received.outputs("raw")[:, 0], expected)
    gaps = [event for event in received.events if event["event"] == "gap"]
    assert [(gap["bins"], gap["policy"]) for gap in gaps] == [(3, policy), (1, policy)]
    status = live.status
    assert (status.bins_in, status.bins_lost, status.bins_decoded) == (146, 4, 150)


@pytest.mark.parametrize("settings", [{"gap_policy": "reset"}, {"gap_policy": "hold", "max_gap_s": 0.01}])
def test_a_gap_that_resets(
    settings: dict[str, Any], start_session: StartSession, linear_bundle: Path, stream_name: str
) -> None:
    live = broken_stream(start_session, linear_bundle, stream_name, all_but(60, 61, 62), **settings)
    received = live.received
    assert received.indices == all_but(60, 61, 62)
    assert received.flagged(Flag.RESET) == [60]
    assert received.flagged(Flag.HELD) == []
    # The filter's block fills anew: until then it passes its input through.
    np.testing.assert_array_equal(received.outputs("low_latency")[60:91], received.outputs("raw")[60:91])
    (gap,) = (event for event in received.events if event["event"] == "gap")
    assert (gap["bins"], gap["policy"]) == (3, "reset")
    status = live.status
    assert (status.bins_in, status.bins_lost, status.bins_decoded) == (147, 3, 147)


def test_doubled_and_late_samples(start_session: StartSession, linear_bundle: Path, stream_name: str) -> None:
    samples = [*range(60), 59, 58, *range(60, 150)]
    live = broken_stream(start_session, linear_bundle, stream_name, samples)
    assert live.received.indices == list(range(150))
    np.testing.assert_array_equal(live.received.outputs("raw")[:, 0], 8.0 * np.arange(1, 151))
    assert live.received.happened == ["connected", "duplicate", "duplicate"]
    assert (live.status.bins_duplicated, live.status.bins_lost) == (2, 0)


@pytest.mark.parametrize("jump", [50_000_000, -50_000_000])
def test_a_clock_that_jumps(jump: int, start_session: StartSession, linear_bundle: Path, stream_name: str) -> None:
    """By 200,000 s, as in recordings of rigs whose computer was restarted."""
    live = start_session(linear_bundle)
    outlet = connected(live, stream_name)
    outlet.push(range(60))
    outlet.push(range(60, 120), value=1.0, ahead=jump)
    live.received.until_estimates(120)
    assert live.received.sequences == list(range(120))
    assert live.received.flagged(Flag.RESET) == [60]
    assert np.all(np.diff(live.received.indices) > 0)
    assert live.received.happened == ["connected", "clock_jump", "foreign_clock"]
    assert f"{abs(jump) * BIN_S:.0f} s {'ahead of' if jump > 0 else 'behind'} the LSL clock" in live.status.message
    (jumped,) = (event for event in live.received.events if event["event"] == "clock_jump")
    assert jumped["jump_s"] == pytest.approx(jump * BIN_S, rel=1e-6)
    assert live.status.stream is not None and live.status.stream.clock_jumps == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite(
    bad: float, start_session: StartSession, linear_bundle: Path, stream_name: str
) -> None:
    live = start_session(linear_bundle)
    outlet = connected(live, stream_name)
    outlet.push(range(60))
    outlet.push([60], value=bad)
    outlet.push(range(61, 120))
    live.received.until_estimates(120)
    assert live.received.flagged(Flag.INVALID) == [60]
    assert live.received.outputs("raw")[60].tolist() == [0, 0]
    assert np.isfinite([estimate.outputs for estimate in live.received.estimates]).all()
    assert live.received.happened == ["connected", "invalid_input"]
    eventually(lambda: live.status, lambda status: status.bins_invalid == 1)
