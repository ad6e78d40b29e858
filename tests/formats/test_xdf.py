"""LSL recordings: small ones that the tests write, and real ones."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.formats import load_xdf, read_recording, read_xdf
from bmi_decoder.formats.xdf_clock import regular_spans, without_jitter
from bmi_decoder.recording import Output
from tests.formats.xdf_writer import chunk, stream, write_xdf

RNG = np.random.default_rng(4)
TIMES = 100.0 + 0.02 * np.arange(200)
COUNTS = RNG.poisson(1.0, (200, 3))
VELOCITY = RNG.standard_normal((200, 2))
AXES = (("x_velocity", "m/s"), ("y_velocity", "m/s"))


def _neural(times: np.ndarray = TIMES, counts: np.ndarray = COUNTS, **more: object) -> bytes:
    return stream(1, "Array", "spikes", times, counts, 50.0, labels=[(f"c{i}", "") for i in range(3)], **more)


def _hand(times: np.ndarray = TIMES, values: np.ndarray = VELOCITY, rate: float = 50.0, **more: object) -> bytes:
    return stream(2, "Hand", "Kinematics", times, values, rate, "double64", labels=AXES, **more)


def test_two_streams_with_one_clock(tmp_path: Path) -> None:
    recording = read_xdf(write_xdf(tmp_path / "a.xdf", _neural(), _hand()))
    assert np.array_equal(recording.counts, COUNTS)
    assert np.allclose(recording.kinematics, VELOCITY)
    assert (recording.bin_s, recording.spans, recording.labels) == (0.02, ((0, 200),), ("c0", "c1", "c2"))
    assert recording.t0 == pytest.approx(100.0 - 0.02), "a stamp is the end of its bin"
    assert recording.outputs == (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))


def test_clocks_are_brought_together(tmp_path: Path) -> None:
    """The hand's computer is 7 s behind the recorder's."""
    offsets = [(float(time) - 7, 7.0) for time in TIMES[::40]]
    path = write_xdf(
        tmp_path / "a.xdf", _neural(offsets=[(float(t), 0.0) for t in TIMES[::40]]), _hand(TIMES - 7, offsets=offsets)
    )
    recording = read_xdf(path)
    assert recording.n_bins == 200
    assert np.allclose(recording.kinematics, VELOCITY, atol=1e-6)


def test_a_faster_stream_is_averaged_over_the_bin(tmp_path: Path) -> None:
    fast_times, fast = 100.0 - 0.02 + 0.004 * np.arange(1, 1001), RNG.standard_normal((1000, 2))
    recording = read_xdf(write_xdf(tmp_path / "a.xdf", _neural(), _hand(fast_times + 1e-5, fast, 250.0)))
    whole = fast[4:-1].reshape(-1, 5, 2)[: recording.n_bins - 1].mean(axis=1)
    assert np.allclose(recording.kinematics[1 : len(whole) + 1], whole)


def test_a_slower_stream_is_on_the_line_between_its_samples(tmp_path: Path) -> None:
    recording = read_xdf(write_xdf(tmp_path / "a.xdf", _neural(), _hand(TIMES[::4], VELOCITY[::4], 12.5)))
    assert np.allclose(recording.kinematics[:197:4], VELOCITY[::4])
    assert np.allclose(recording.kinematics[2:196:4], (VELOCITY[:196:4] + VELOCITY[4:200:4]) / 2)


def test_a_gap_in_either_stream_ends_a_segment(tmp_path: Path) -> None:
    """Gaps far shorter than the 500 samples below which pyxdf's removal of jitter hides them."""
    kept, kept_hand = np.r_[0:60, 62:200], np.r_[0:120, 135:200]
    recording = read_xdf(
        write_xdf(tmp_path / "a.xdf", _neural(TIMES[kept], COUNTS[kept]), _hand(TIMES[kept_hand], VELOCITY[kept_hand]))
    )
    rows = np.r_[0:60, 62:120, 135:200]
    assert recording.spans == ((0, 60), (60, 118), (118, 183))
    assert np.array_equal(recording.counts, COUNTS[rows])
    assert np.allclose(recording.kinematics, VELOCITY[rows])


def test_missing_values_end_a_segment(tmp_path: Path) -> None:
    values = VELOCITY.copy()
    values[50] = np.nan
    recording = read_xdf(write_xdf(tmp_path / "a.xdf", _neural(), _hand(values=values)))
    assert recording.spans == ((0, 50), (50, 199))


def test_a_reset_of_the_clock_ends_a_segment(tmp_path: Path) -> None:
    """Both streams come from a computer that restarts: its clock begins again at 3 s."""
    times = np.concatenate([100 + 0.02 * np.arange(2000), 3 + 0.02 * np.arange(2000)])
    offsets = [(100.0 + 4 * i, 50.0) for i in range(11)] + [(3.0 + 4 * i, 200.0) for i in range(11)]
    counts, values = RNG.poisson(1.0, (4000, 3)), RNG.standard_normal((4000, 2))
    path = write_xdf(tmp_path / "a.xdf", _neural(times, counts, offsets=offsets), _hand(times, values, offsets=offsets))
    assert [s.resets for s in load_xdf(path).streams] == [(2000,), (2000,)]
    recording = read_xdf(path)
    assert recording.spans == ((0, 2000), (2000, 4000))
    assert np.allclose(recording.kinematics, values, atol=1e-4)


def test_streams_are_chosen_by_name_or_type(tmp_path: Path) -> None:
    other = stream(3, "Other", "spikes", TIMES, COUNTS * 2, 50.0)
    markers = stream(4, "Trials", "Markers", TIMES[:3], ["go", "hit", "go"], 0.0, "string")
    path = write_xdf(tmp_path / "a.xdf", _neural(), other, _hand(), markers)
    with pytest.raises(
        InputError, match=r"more than one neural stream of type spikes; the file has 'Array' .*'Trials'"
    ):
        read_xdf(path)
    assert np.array_equal(read_recording(path, neural="Other").counts, 2 * COUNTS)
    with pytest.raises(InputError, match="no kinematics stream with the name or type 'Foot'; the file has 'Array'"):
        read_xdf(path, neural="Other", kinematics="Foot")
    with pytest.raises(InputError, match="kinematics stream 'Trials' holds text"):
        read_xdf(path, neural="Other", kinematics="Trials")


def test_an_irregular_stream_is_refused(tmp_path: Path) -> None:
    events = stream(1, "Sorter", "spikes", TIMES, COUNTS, 0.0)
    with pytest.raises(InputError, match="stream 'Sorter' is irregular; a stream with a nominal rate is needed"):
        read_xdf(write_xdf(tmp_path / "a.xdf", events, _hand()))


def test_a_replay_keeps_its_bins(tmp_path: Path) -> None:
    desc = "<bmi_decoder><speed>2.0</speed></bmi_decoder>"
    assert read_xdf(write_xdf(tmp_path / "a.xdf", _neural(desc=desc), _hand(desc=desc))).bin_s == 0.04


def test_a_recorder_that_was_killed(tmp_path: Path) -> None:
    """The rest of the last chunk would be taken for whole samples, with values of the one before."""
    path = write_xdf(tmp_path / "a.xdf", _hand(), _neural())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 60])
    recording = read_xdf(path)
    assert recording.n_bins == 192, "the last chunk of 8 samples is not whole"
    assert np.array_equal(recording.counts, COUNTS[:192])
    assert "the file ends inside a chunk" in load_xdf(path).remarks[0]


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (b"\x07junk", "no chunk begins at byte"),
        (chunk(3, b"\x63\0\0\0\x01\x01"), "is of stream 99, which is not described"),
        (chunk(3, b"\x01\0\0\0\x04\xff\xff\xff\x7f"), "too short for the 2147483647 samples of stream 1"),
        (chunk(2, b"\x05\0\0\0<!DOCTYPE x [<!ENTITY a 'b'>]>"), "declares XML entities"),
        (chunk(2, b"\x05\0\0\0<info></info>"), "must declare one channel_count"),
        (chunk(2, b"\x01\0\0\0<info></info>"), "stream 1 is described twice"),
        (b"\x04\x01\x00\x00\x00\x02", "too short to be one"),
        (chunk(4, b"\x01\0\0\0" + bytes(12)), "the XDF file is damaged"),
        (chunk(3, b"\x01\0\0\0\x01\x01\x08" + struct.pack("<d3f", 1e300, 1, 2, 3)), "finite and below 1e.12 s"),
    ],
)
def test_a_damaged_file_is_refused(extra: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"a.xdf: .*{reason}"):
        read_xdf(write_xdf(tmp_path / "a.xdf", _neural(), _hand(), extra))


def test_real_recordings_load(data_dir: Path) -> None:
    for name, n_streams in [("minimal", 2), ("empty_streams", 4), ("clock_resets", 2)]:
        assert len(load_xdf(data_dir / "xdf" / f"{name}.xdf").streams) == n_streams
    markers, signal = load_xdf(data_dir / "xdf" / "clock_resets.xdf").streams
    assert (markers.resets, signal.resets) == ((91,), (12876,))
    assert 12876 in {start for start, _ in signal.spans}
    assert signal.step_s == pytest.approx(0.0107, abs=1e-4), "it declares 100 Hz and delivers 93"


@pytest.mark.parametrize("name", ["minimal", "empty_streams", "clock_resets"])
def test_a_real_recording_without_spikes_lists_its_streams(name: str, data_dir: Path) -> None:
    with pytest.raises(InputError, match=rf"{name}\.xdf: there is no neural stream .*; the file has '.*type "):
        read_recording(data_dir / "xdf" / f"{name}.xdf")


@given(st.integers(0, 2**32), st.integers(20, 180), st.integers(1, 30))
def test_gaps_are_found_through_jitter(seed: int, at: int, missing: int) -> None:
    kept = np.r_[0:at, at + missing : 230]
    stamps = 0.02 * kept + np.random.default_rng(seed).uniform(-0.1, 0.1, len(kept)) * 0.02
    spans = regular_spans(stamps, 0.02)
    assert spans == ((0, at), (at, len(kept)))
    assert np.abs(without_jitter(stamps, spans) - 0.02 * kept).max() < 0.1 * 0.02


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_xdf(tmp_path / "a.xdf", _neural(), _hand())
    monkeypatch.setattr("bmi_decoder.formats.extra.find_spec", lambda name: None)
    with pytest.raises(BmiError, match=r"pyxdf is needed: pip install 'bmi-decoder\[formats\]'"):
        read_xdf(path)
