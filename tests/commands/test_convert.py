"""``convert`` makes a recording a recording and a decoder a decoder, and says so where it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.cli import main
from tests.commands.conftest import FEW_STEPS, Files

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def quantised(files: Files) -> Path:
    path = files.folder / "qcrnn.bmi"
    arguments = ["train", files.recording, "--decoder", "qcrnn", "--out", path, *FEW_STEPS, "--set", "filters=[5]"]
    assert main([str(argument) for argument in arguments]) == 0
    return path


def convert(*arguments: str | Path) -> int:
    return main(["convert", *map(str, arguments)])


def test_a_decoder_becomes_a_checked_spiking_network(
    files: Files, quantised: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "new" / "snn.bmi"
    assert convert(quantised, out, "--to", "snn", "--check", files.recording, "--json", "-") == 0
    stdout, stderr = capsys.readouterr()
    told = json.loads(stdout)
    assert (told["decoder"], told["bins"], told["largest_difference"]) == ("rbif_rnn", 1500, 0.0)
    conversion = read_bundle(out).manifest.conversion
    assert conversion is not None and told["inner_steps"] == conversion["inner_steps"]
    first, second = stderr.splitlines()
    assert first == f"{out}: rbif_rnn, equal to qcrnn; settles within 45 inner steps per bin"
    assert second.startswith("  1500 bins of simulated subject 0, seed 0: no estimate differs; ")
    assert main(["evaluate", str(out), str(files.recording)]) == 0
    line = capsys.readouterr().out.splitlines()[-1].split()
    assert line[:2] == ["inner", "steps"] and 0 < float(line[2]) <= int(line[-1]) <= 45


def test_without_a_recording_nothing_is_claimed_of_one(quantised: Path, tmp_path: Path, capsys: Capture) -> None:
    assert convert(quantised, tmp_path / "snn.bmi", "--to", "snn") == 0
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_recording_is_still_a_recording(files: Files, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "r.npz"
    assert convert(files.recording, out, "--json", tmp_path / "r.json") == 0
    assert capsys.readouterr().err == f"{out}: 1500 bins of 8 channels, 1 segments\n"
    assert json.loads((tmp_path / "r.json").read_text())["channels"] == 8


def test_what_cannot_be_converted_gets_one_clear_error(
    files: Files, quantised: Path, tmp_path: Path, capsys: Capture
) -> None:
    capsys.readouterr()
    out = tmp_path / "out"
    for arguments, message in (
        ((quantised, out), f"{quantised} is a decoder bundle: say what it becomes with --to snn"),
        (
            (files.recording, out, "--to", "snn"),
            f"{files.recording} is not a decoder bundle, and nothing else converts",
        ),
        ((files.folder / "junk.bmi", out, "--to", "snn"), "junk.bmi is not a decoder bundle"),
        ((tmp_path / "none.bmi", out, "--to", "snn"), "none.bmi: No such file"),
        ((files.bundle, out, "--to", "snn"), "'lstm' has no spiking form"),
        ((quantised, out, "--to", "snn", "--bin-ms", "5"), "--bin-ms: for recordings"),
        ((files.recording, out, "--check", files.recording), "--check is for decoders"),
        ((quantised, tmp_path, "--to", "snn"), "it is a folder"),
    ):
        assert convert(*arguments) in (1, 2)
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
    assert not out.exists()


def test_another_target_is_refused(quantised: Path, tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        convert(quantised, tmp_path / "x", "--to", "gru")
    assert stop.value.code == 2
    assert "snn" in capsys.readouterr().err
