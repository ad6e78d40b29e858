"""``bmi-decoder rig`` and ``bmi-decoder subscribe`` as a user meets them."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pylsl
import pytest

from bmi_decoder.formats import write_npz
from bmi_decoder.recording import Output, Recording
from services.ingest.description import read_description
from services.rowlog import RowLogReader
from tests.system.conftest import Rig
from tests.system.support import command
from tests.waiting import eventually


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 bins of 5 ms, 3 channels."""
    counts = np.random.default_rng(12).integers(0, 3, (400, 3))
    kinematics = np.arange(400.0)[:, None]
    path = tmp_path_factory.mktemp("recordings") / "short.npz"
    write_npz(Recording(counts, kinematics, (Output("x", "m"),), 0.005, channels=("a", "b", "c")), path)
    return path


def inlet(name: str) -> pylsl.StreamInlet:
    (info,) = pylsl.resolve_byprop("name", name, timeout=30)
    return pylsl.StreamInlet(info, processing_flags=pylsl.proc_clocksync)


def test_it_plays_both_streams_and_says_what_they_are(
    recording: Path, rig: Rig, stream_name: str, tmp_path: Path
) -> None:
    playing = rig(recording, "--speed", "2", "--push-log", str(tmp_path / "pushes"))
    movement, neural = inlet(f"{stream_name}-kinematics"), inlet(stream_name)
    info = neural.info(10)
    assert (info.type(), info.channel_count(), info.nominal_srate()) == ("spikes", 3, pytest.approx(400.0))
    assert info.get_channel_labels() == ["a", "b", "c"]
    assert read_description(info).speed == 2.0
    described = movement.info(10)
    assert (described.type(), described.get_channel_labels(), described.get_channel_units()) == (
        "kinematics",
        ["x"],
        ["m"],
    )
    # It begins when somebody receives the neural stream.
    assert playing.process.poll() is None
    movement.open_stream(10)
    neural.open_stream(10)
    samples: list[list[float]] = []
    stamps: list[float] = []
    while len(samples) < 400:
        sample, stamp = neural.pull_sample(timeout=20)
        assert sample is not None, playing.said
        samples.append(sample)
        stamps.append(stamp)
    with np.load(recording) as file:
        np.testing.assert_array_equal(samples, file["counts"])
    np.testing.assert_allclose(np.diff(stamps), 0.0025, atol=1e-3)
    assert [movement.pull_sample(timeout=20)[0][0] for _ in range(400)] == list(range(400))
    pushes = RowLogReader(tmp_path / "pushes").new_rows()
    assert len(pushes) == 400
    assert playing.wait() == 0
    assert "pushed 400 bins" in playing.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [[], ["--loop", "--no-wait"]], ids=["waiting", "playing"])
def test_a_signal_ends_it(
    recording: Path, rig: Rig, stream_name: str, number: signal.Signals, options: list[str]
) -> None:
    playing = rig(recording, *options)
    eventually(lambda: pylsl.resolve_byprop("name", stream_name, timeout=1), bool)
    playing.process.send_signal(number)
    assert playing.wait(20) == 0
    assert "Traceback" not in playing.said


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["rig", "nowhere.npz", "--stream", "x"], 2, "nowhere.npz"),
        (["rig", "simulated", "--stream", "x", "--speed", "0"], 2, "--speed must be a positive factor, got 0"),
        (["rig", "simulated", "--stream", "x", "--lsl", "nowhere.cfg"], 2, "no LSL configuration 'nowhere.cfg'"),
        (["rig", "simulated", "--stream", "x", "--push-log", "/nowhere/log"], 1, "cannot write /nowhere/log"),
        (["rig", "simulated"], 2, "--stream"),
        (["subscribe", "tcp://127.0.0.1:9", "--timeout", "0.2"], 1, "is the session running?"),
        (["subscribe", "nowhere", "--timeout", "0.2"], 1, "expected tcp://ADDRESS:PORT"),
    ],
)
def test_mistakes(arguments: list[str], status: int, words: str) -> None:
    ended, said = command(*arguments)
    assert ended == status
    assert words in said
    assert len(said.strip().splitlines()) == 1
