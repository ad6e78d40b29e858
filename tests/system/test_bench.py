"""``bmi-decoder bench`` on real processes."""

from __future__ import annotations

import json
from pathlib import Path

import psutil

from services.demo.bundle import demo_bundle
from tests.system.support import command


def test_latency_of_the_demo_decoder_beside_floor_and_a_peer(tmp_path: Path) -> None:
    out, report = tmp_path / "latency.json", tmp_path / "report"
    peer = "peer=python -m services.bench.latency.relay {stream} {endpoint}"
    status, said = command(
        *("bench", "latency", "--bundle", demo_bundle(), "--seconds", "1", "--rounds", "2", "--peer", peer),
        *("--json", out, "--report", report),
    )
    assert status == 0, said
    (load,) = json.loads(out.read_text())["loads"]
    assert set(load["lanes"]) == {"floor", "snn_streaming", "peer"}
    for lane in load["lanes"].values():
        assert lane["samples"] + lane["missing"] == 500
        assert lane["samples"] > 400
        assert 0 < lane["latency_us"]["p50"] <= lane["latency_us"]["p99"] <= lane["latency_us"]["max"]
    stages = load["lanes"]["snn_streaming"]["stages_us"]
    assert all(stage["p50"] > 0 for stage in stages.values())
    assert (report / "index.html").stat().st_size > 1000
    assert [p for p in psutil.Process().children(recursive=True) if "services.bench" in " ".join(p.cmdline())] == []


def test_a_peer_that_does_not_pass_anything_on(tmp_path: Path) -> None:
    status, said = command(
        *("bench", "latency", "--bundle", demo_bundle(), "--seconds", "1", "--rounds", "1"),
        *("--peer", "broken=python -c print('x') {stream} {endpoint}"),
    )
    assert status == 1
    assert "broken" in said


def test_two_sessions_at_once(tmp_path: Path) -> None:
    out = tmp_path / "sessions.json"
    status, said = command(
        *("bench", "sessions", "--bundle", demo_bundle(), "--counts", "2", "--seconds", "2", "--period", "1"),
        *("--json", out),
    )
    assert status == 0, said
    (result,) = json.loads(out.read_text())["sessions"]
    assert result["samples"] + result["missing"] == 1000
    assert result["samples"] > 800
    assert result["latency_us"]["p50"] <= result["latency_us"]["p99"] <= result["worst_session_p99_us"]
    assert [period["at_s"] for period in result["periods"]] == [1.0, 2.0]
    for period in result["periods"]:
        assert 0 < period["unique_mb"] <= period["shared_mb"] <= period["resident_mb"]


def test_steps_of_a_decoder_in_three_runtimes(tmp_path: Path) -> None:
    out = tmp_path / "decoders.json"
    status, said = command(
        *("bench", "decoders", "--bundle", demo_bundle(), "--rounds", "2", "--hot", "20", "--steps", "5"),
        *("--json", out),
    )
    assert status == 0, said
    result = json.loads(out.read_text())
    (decoder,) = result["decoders"]
    assert {name: set(times) for name, times in decoder["runtimes"].items()} == {
        "machine": {"hot_us", "cadence_us", "rehearsed_us"},
        "onnx": {"hot_us", "cadence_us"},
        "torch": {"hot_us", "cadence_us"},
    }
    bytes_per_bin = decoder["bytes_per_bin"]
    assert 0 < bytes_per_bin["parameters"] <= bytes_per_bin["parameters_if_dense"]
    assert result["bandwidth"]["measurements"] == 2
    assert "cores" in result["host"]


def test_filters(tmp_path: Path) -> None:
    out = tmp_path / "filters.json"
    status, said = command(
        *("bench", "filters", "--channels", "2,5", "--widths", "16", "--rounds", "1", "--hot", "20", "--steps", "5"),
        *("--json", out),
    )
    assert status == 0, said
    assert [filtered["n_channels"] for filtered in json.loads(out.read_text())["filters"]] == [2, 5]


def test_machine(tmp_path: Path) -> None:
    out = tmp_path / "machine.json"
    status, said = command(
        *("bench", "machine", "--instructions", "linear,fir", "--rounds", "1", "--hot", "5", "--steps", "5"),
        *("--json", out),
    )
    assert status == 0, said
    names = [result["instruction"] for result in json.loads(out.read_text())["instructions"]]
    assert names == ["(no instruction)", "linear", "linear, 2% active", "fir"]
