"""A rig as it should be, and one that is not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pylsl
import yaml

from services.certify.finding import Finding
from services.certify.limits import Limits
from services.certify.manifest import ExpectedStream, RigManifest, read_manifest
from services.certify.rig import check_rig
from tests.system.conftest import Rig
from tests.system.support import command

LENIENT = {"deadline_misses": 1.0, "write_mb_s": 0.1, "free_gb": 0.0, "free_memory_gb": 0.0, "clock_movement_ms": 1e3}
"""What depends on how busy the machine of the test is."""


def simulated(folder: Path) -> Path:
    """Eight channels in bins of 20 ms."""
    path = folder / "session.npz"
    assert command("simulate", path, "--seconds", "20", "--channels", "8", "--bin-ms", "20")[0] == 0
    return path


def test_a_rig_that_is_fit(rig: Rig, tmp_path: Path, stream_name: str) -> None:
    rig(simulated(tmp_path), "--loop").wait_said("waiting")
    written, manifest, result = tmp_path / "all.yaml", tmp_path / "rig.yaml", tmp_path / "result.json"
    assert command("certify", "--write-manifest", written)[0] == 0
    assert command("certify", "--write-manifest", written)[0] == 2
    mine = [one for one in yaml.safe_load(written.read_text())["streams"] if one["name"].startswith(stream_name)]
    assert [one["channels"] for one in mine] == [8, 2]
    manifest.write_text(yaml.safe_dump({"streams": mine, "limits": LENIENT}))
    files = ("--json", result, "--report", tmp_path / "page.html", "--data-dir", tmp_path)
    status, _ = command("certify", "--manifest", manifest, "--seconds", "1", *files)
    found = json.loads(result.read_text())
    assert (status, found["passed"]) == (0, True), [one for one in found["findings"] if one["verdict"] == "fail"]
    checks = {(one["area"], one["check"]): one for one in found["findings"]}
    assert checks["decoder", "latency"]["figures"]["latency_us"]["p99"] > 0
    assert checks["LSL", "discovery"]["figures"]["routes"]
    for one in mine:
        assert checks[one["name"], "found"]["figures"]["routes"]
        assert checks[one["name"], "samples"]["figures"]["lost"] == 0
    assert stream_name in (tmp_path / "page.html").read_text()
    assert read_manifest(manifest).streams[0].labels is not None


def test_a_rig_that_is_not(rig: Rig, tmp_path: Path, stream_name: str) -> None:
    rig(simulated(tmp_path), "--loop").wait_said("waiting")
    notes = pylsl.StreamOutlet(pylsl.StreamInfo(f"{stream_name}-notes", "notes", 1, 10.0, "string", "notes"))
    wanted = (
        ExpectedStream(name=stream_name, type="spikes", channels=96, rate_hz=50),
        ExpectedStream(name=f"{stream_name}-notes", type="notes", rate_hz=10, format="string"),
        ExpectedStream(name=f"{stream_name}-missing", type="spikes"),
    )
    manifest = RigManifest(streams=wanted, limits=Limits(**LENIENT))
    findings = check_rig(Path(os.environ["LSLAPICFG"]), manifest, manifest.limits, None, 0.5)

    def failed(area: str) -> list[Finding]:
        return [one for one in findings if one.area == area and one.verdict == "fail"]

    assert [(one.check, one.found) for one in failed(stream_name)] == [("channels", "8, expected 96")]
    assert "correct the rig's channel selection" in failed(stream_name)[0].remedy
    (missing,) = failed(f"{stream_name}-missing")
    assert "no such stream" in missing.found and stream_name in missing.found
    assert "start the rig" in missing.remedy
    # Samples of a stream of texts are not looked at, though it has a nominal rate.
    assert failed(f"{stream_name}-notes") == []
    del notes


def test_bad_usage_is_2(tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text("streams:\n  - name: M1\n")
    status, said = command("certify", "--manifest", tmp_path / "rig.yaml")
    assert (status, said.count("\n")) == (2, 1)
    assert "rig.yaml, line 2: streams.0.type: is missing; add it" in said
