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
