from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO

from bmi_decoder.bundle import read_bundle
from bmi_decoder.cli import main
from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_recording
from bmi_decoder.formats.check import check_reader
from bmi_decoder.formats.nwb import read_nwb
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recorded_session import read_session
from tests.control.support import BIN_S, write_linear_bundle
from tests.formats.recorded import BEGIN, N_BINS, write_recorded_session


@pytest.fixture(params=[None, 150], ids=["whole", "with a gap"])
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    bundle = write_linear_bundle(tmp_path / "linear.bmi")
    return write_recorded_session(tmp_path, bundle, Pipeline(read_bundle(bundle)), request.param)


@pytest.fixture
def exported(recorded: Path, tmp_path: Path) -> Path:
    out = tmp_path / "session.nwb"
    about = ("--species", "Macaca mulatta", "--age", "P6Y", "--sex", "F")
    assert main(["export", str(recorded), "--to", "nwb", "--out", str(out), *about]) == 0
    return out


def test_it_comes_back_as_the_recording_that_it_was(recorded: Path, exported: Path) -> None:
    before, after = read_recording(recorded), read_recording(exported)
    np.testing.assert_array_equal(after.counts, before.counts)
    np.testing.assert_array_equal(after.kinematics, before.kinematics)
    assert (after.bin_s, after.spans, after.labels, after.outputs) == (
        before.bin_s, before.spans, before.labels, before.outputs,
    )  # fmt: skip
    assert after.n_bins == N_BINS
    wider = read_recording(exported, bin_s=5 * BIN_S)
    assert wider.counts.sum() == before.counts[: wider.n_bins * 5].sum() > 0


def test_a_fast_replay_has_the_pace_of_its_data(tmp_path: Path) -> None:
    bundle, out = write_linear_bundle(tmp_path / "linear.bmi"), tmp_path / "fast.nwb"
    for gap_at in (None, 150):
        path = write_recorded_session(tmp_path, bundle, Pipeline(read_bundle(bundle)), gap_at, speed=10.0)
        out.unlink(missing_ok=True)
        assert main(["export", str(path), "--to", "nwb", "--out", str(out)]) == 0
        before, after = read_recording(path), read_recording(out)
        np.testing.assert_array_equal(after.counts, before.counts)
        np.testing.assert_array_equal(after.kinematics, before.kinematics)
        assert (after.bin_s, after.spans) == (before.bin_s, before.spans)
        assert after.bin_s == pytest.approx(BIN_S)
        with NWBHDF5IO(out, "r") as file:
            content = file.read()
            assert "10 times the pace" in content.experiment_description
            raw = content.processing["behavior"]["decoded_raw"].timestamps[:]
            assert np.median(np.diff(raw)) == pytest.approx(BIN_S)


def test_the_inspector_finds_nothing_critical(exported: Path) -> None:
    found = list(inspect_nwbfile(nwbfile_path=exported))
    assert [message for message in found if message.importance == Importance.CRITICAL] == []
    # These stamps are exact, unlike those of a rig, and the inspector would rather have a rate.
    suggested = (Importance.BEST_PRACTICE_SUGGESTION,)
    assert {one.check_function_name for one in found if one.importance not in suggested} <= {"check_regular_timestamps"}


def test_what_it_holds(recorded: Path, exported: Path) -> None:
    session = read_session(recorded)
    with NWBHDF5IO(exported, "r") as file:
        content = file.read()
        assert content.subject.subject_id == "P1" and content.subject.species == "Macaca mulatta"
        start = content.session_start_time.astimezone(UTC)
        assert abs((start - datetime(2026, 3, 1, 10, tzinfo=UTC)).total_seconds()) < 1e-3
        behavior = content.processing["behavior"]
        assert set(behavior.data_interfaces) == {"velocity", "decoded_raw", "decoded_low_latency"}
        raw, filtered = behavior["decoded_raw"], behavior["decoded_low_latency"]
        of_file = {decoded.variant.name: np.asarray(decoded.stream.values) for decoded in session.decoded}
        np.testing.assert_array_equal(raw.data[:], of_file["raw"])
        np.testing.assert_allclose(raw.timestamps[:] + BEGIN, session.estimates["t_source"], atol=1e-6)
        np.testing.assert_array_equal(filtered.data[:], of_file["low_latency"][31:])
        assert filtered.unit == "m/s"
        settings = content.intervals["decoder_settings"].to_dataframe()
        assert settings["revision"].tolist() == [1, 2] and "cutoff_hz 6.25" in settings["low_latency"][0]
        assert settings["masked_channels"].tolist() == ["none", "3, 7"]
        np.testing.assert_allclose(settings["stop_time"][0], session.estimates["t_source"][299] - BEGIN, atol=1e-6)
        assert content.get_events_table("health_events")["event"][:].tolist() == ["connected"]
        columns = content.processing["misc"]["estimates"].data[:]
        np.testing.assert_array_equal(columns[:, 2], session.estimates["flags"])


def test_a_decoder_is_trained_on_it(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "next.bmi"
    assert main(["train", str(exported), "--decoder", "wiener", "--out", str(out)]) == 0
    assert read_bundle(out).manifest.bin_s == BIN_S


def test_the_reader_keeps_its_contract(exported: Path) -> None:
    check_reader(read_nwb, exported, n_damaged=8)


def test_other_series_are_refused_with_a_reason(exported: Path) -> None:
    with pytest.raises(InputError, match="not on the bins of spike_counts"):
        read_recording(exported, series="decoded_low_latency")


def test_other_recordings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.xdf"
    path.write_bytes(b"XDF:")
    assert main(["export", str(path), "--to", "nwb"]) == 2
    assert "no estimates of a session" in capsys.readouterr().err
