"""What `bmi-decoder inspect` says, prints and draws."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bmi_decoder.cli import main
from bmi_decoder.formats import read_npz, write_npz
from bmi_decoder.inspection.inspect import inspect_file
from bmi_decoder.inspection.pictures import window
from bmi_decoder.inspection.summary import summarise
from bmi_decoder.recording import Output, Recording
from bmi_decoder.simulation import PopulationSettings, SubjectSettings, simulate, write_odoherty
from tests.formats.nwb_writer import series, write_nwb
from tests.formats.xdf_writer import stream, write_xdf


def _recording(**changes: object) -> Recording:
    counts = np.zeros((400, 4), int)
    counts[::2, 0] = 3
    counts[7, 1] = 1
    counts[:, 2] = counts[:, 0]
    kinematics = np.stack([np.linspace(-1, 3, 400), np.full(400, 2.0)], axis=1)
    given = {"segments": ((0, 390), (390, 400)), "source": "a test"} | changes
    outputs = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    return Recording(counts, kinematics, outputs, 0.05, **given)  # type: ignore[arg-type]


def test_figures() -> None:
    found = summarise(_recording())
    rates = {channel["name"]: channel["mean_rate_hz"] for channel in found["channels"]}
    assert rates == pytest.approx({"ch0": 30.0, "ch1": 0.05, "ch2": 30.0, "ch3": 0.0})
    assert (found["silent"], found["nearly_silent"]) == (["ch3"], ["ch1"])
    assert (found["duration_s"], found["most_spikes_in_a_bin"]) == (20.0, 3)
    x = found["outputs"][0]
    assert (x["lowest"], x["highest"], x["mean"]) == pytest.approx((-1, 3, 1))
    assert found["warnings"] == [
        "1 of 4 channels never fire: ch3",
        "1 of 4 channels fire less than 0.1 times per s: ch1",
        "channels hold the same spikes: ch0 = ch2",
        "y_velocity does not change",
        "1 of 2 segments are shorter than 1 s",
    ]
    json.dumps(found, allow_nan=False)


def test_a_recording_without_any_spike() -> None:
    silent = Recording(np.zeros((10, 2), int), np.zeros((10, 1)), (Output("x", "m"),), 0.01)
    assert summarise(silent)["silent"] == ["ch0", "ch1"]
    assert window(silent) == (0, 10)


def test_the_window_is_in_the_longest_segment_and_not_too_full() -> None:
    first, last = window(_recording())
    assert (last - first, first) == (200, 95)
    busy = simulate(SubjectSettings(population=PopulationSettings(n_channels=400, baseline_median_hz=30.0)), 20.0)
    first, last = window(busy)
    assert np.count_nonzero(busy.counts[first:last]) <= 20_000


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npz(_recording(), tmp_path / "a.npz")
    target = tmp_path / "a.json"
    assert main(["inspect", str(tmp_path / "a.npz"), "--json", str(target), "--report", str(tmp_path / "page")]) == 0
    text = capsys.readouterr().out
    assert "400 bins of 50 ms" in text
    assert "segments    2 of 0.50 to 19.5 s, with time missing between them" in text
    assert json.loads(target.read_text())["recording"]["silent"] == ["ch3"]
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.count("<svg viewBox") >= 4
    assert not re.search(r"(src|href)=|<script|url\((?!#)", page), "a page loads nothing from anywhere"
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(picture)


@pytest.mark.parametrize("name", ["csv", "stevenson"])
def test_bad_files_are_the_users_error(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / {"csv": "a.csv", "stevenson": "a.mat"}[name]
    path.write_bytes(b"nothing of the kind")
    assert main(["inspect", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_the_resets_of_a_real_recording_are_reported(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data_dir / "xdf" / "clock_resets.xdf"
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert "stream 'BioSemi' (type 'EEG'): 8 x float32, 27815 samples, 100 Hz declared, 93.2 Hz measured" in text
    assert "clock resets: 1" in text
    assert "clock reset before sample 12876: 273.5" in text
    assert "nothing here can be decoded as it is" in text


def test_streams_of_xdf(tmp_path: Path) -> None:
    times = 0.02 * np.r_[0:50, 60:200]
    path = write_xdf(
        tmp_path / "a.xdf",
        stream(1, "Array", "spikes", times, np.ones((190, 2)), 50.0),
        stream(2, "Hand", "kinematics", times, np.ones((190, 2)), 50.0),
    )
    found = inspect_file(path)
    assert found.recording is not None
    assert found.contents[0]["gaps"] == 1
    assert found.contents[0]["breaks"] == [
        {"sample": 50, "missing_s": pytest.approx(0.2, abs=1e-6), "clock_reset": False}
    ]


def test_series_of_nwb_are_listed_where_one_must_be_chosen(tmp_path: Path) -> None:
    times = 0.01 * np.arange(100)
    behaviour = [series(name, np.ones((100, 2)), times) for name in ("hand_vel", "cursor_vel")]
    path = write_nwb(tmp_path / "a.nwb", [[0.1, 0.2]], behaviour)
    found = inspect_file(path)
    assert found.recording is None
    assert "more than one velocity" in found.problem
    assert {item["name"] for item in found.contents} == {"units", "hand_vel", "cursor_vel"}
    assert inspect_file(path, series="hand_vel").recording is not None


def test_reaches_of_a_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_odoherty(SubjectSettings(population=PopulationSettings(n_channels=4)), 10.0, tmp_path / "a.mat")
    assert main(["inspect", str(tmp_path / "a.mat"), "--spike-sorting", "--bin-ms", "20"]) == 0
    text = capsys.readouterr().out
    assert "bins of 20 ms" in text
    assert re.search(r"reaches +\d+, 0 of them of 8 s or more", text)


def test_convert_keeps_the_choices(tmp_path: Path) -> None:
    times = 0.01 * np.arange(100)
    behaviour = [series(name, np.full((100, 2), i), times) for i, name in enumerate(("hand_vel", "cursor_vel"))]
    path = write_nwb(tmp_path / "a.nwb", [[0.1, 0.2]], behaviour)
    out = tmp_path / "a.npz"
    assert main(["convert", str(path), str(out), "--series", "cursor_vel", "--bin-ms", "50"]) == 0
    recording = read_npz(out)
    assert (recording.n_bins, recording.kinematics.mean()) == (20, 1.0)
