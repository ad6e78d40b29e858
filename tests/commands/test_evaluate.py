from __future__ import annotations

import json
from pathlib import Path

import pytest

from bmi_decoder.bundle import write_bundle
from bmi_decoder.cli import main
from bmi_decoder.formats import write_npz
from tests.evaluation.support import bundle, recording


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    made = recording(1500)
    write_npz(made, tmp_path / "r.npz")
    write_bundle(bundle(made), tmp_path / "d.bmi")
    return str(tmp_path / "d.bmi"), str(tmp_path / "r.npz")


def test_figures_on_the_terminal_as_json_and_as_a_page(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, report = tmp_path / "out.json", tmp_path / "new" / "report"
    assert main(["evaluate", *files, "--json", str(target), "--report", str(report)]) == 0
    printed = capsys.readouterr()
    assert "bins 1200 to 1500: the part kept for testing" in printed.out
    assert "high_accuracy  R2" in printed.out and "dense operations" in printed.out
    assert str(report / "index.html") in printed.err
    figures = json.loads(target.read_text())
    assert figures["trained_on_this_recording"] and figures["start_bin"] == 1200
    assert set(figures["variants"]["raw"]) >= {"r2", "r2_causal", "correlation", "rmse_per_output", "lag_s"}
    assert figures["operations"]["footprint_bytes"] > 0
    budget = figures["bit_budget"]
    assert 0 < budget["ns_ace"] <= budget["s_ace"] == sum(row["s_ace"] for row in budget["layers"])
    assert f"NS-ACE {budget['ns_ace']:,.0f} per bin" in printed.out
    assert (report / "index.html").read_text().startswith("<!DOCTYPE html>")


def test_json_on_standard_output_is_alone_there(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *files, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["decoder"] == "lstm"


def test_a_report_that_cannot_be_written_is_one_line(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    assert main(["evaluate", *files, "--report", str(tmp_path / "taken")]) == 1
    assert "cannot write" in capsys.readouterr().err.splitlines()[-1]
