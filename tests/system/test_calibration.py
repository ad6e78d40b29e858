"""From an empty data directory to a decoder that was calibrated on a live rig, deployed, recorded and trained again."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bmi_decoder.client import ControlError, Subscriber
from bmi_decoder.jobs import JobInfo
from tests.system.conftest import Control, Rig, Spawn, serve
from tests.system.support import Received, command, processes_with
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="needs the training extra")


Start = Callable[[], Control]


@pytest.fixture
def start(spawn: Spawn, tmp_path: Path) -> Iterator[Start]:
    """Start a control plane on this test's data directory."""
    with ExitStack() as started:

        def start_() -> Control:
            control = serve(spawn("serve", "--port", "0", "--data-dir", tmp_path / "data"), tmp_path / "data")
            started.callback(control.end)
            return control

        yield start_


def ended(control: Control, job: JobInfo) -> JobInfo:
    return eventually(lambda: control.client.job(job.id), lambda now: now.state not in ("queued", "running"), 120)


def collecting(control: Control) -> JobInfo:
    """The newest job, as soon as it has collected something."""

    def newest() -> JobInfo | None:
        return next(iter(control.client.jobs()), None)

    job = eventually(newest, lambda job: job is not None and job.details.get("usable", 0) > 0, 120)
    assert job is not None
    return job


def left(control: Control) -> list[Any]:
    """What should not be there when no calibration has come to its end."""
    files = [
        path for name in ("jobs", "recordings", "decoders", "uploads") for path in (control.data_dir / name).iterdir()
    ]
    return [
        *files,
        *control.client.decoders(),
        *control.client.recordings(),
        *processes_with(control.data_dir / "jobs"),
    ]


@pytest.mark.nightly  # in a browser a shorter one goes the same way, every time
def test_the_whole_way(start: Start, rig: Rig, stream_name: str, tmp_path: Path) -> None:
    plane = start()
    client = plane.client
    # It begins with the first inlet: the first calibration is of the same data every time.
    rig("simulated", "--speed", "4")
    eventually(lambda: {stream.name for stream in client.streams()}, lambda names: f"{stream_name}-kinematics" in names)

    first = ended(plane, client.calibrate(stream_name, f"{stream_name}-kinematics", "kalman", seconds=40))
    assert first.error is None and first.result is not None
    result = first.result
    assert result["collected"]["usable"] + result["collected"]["lost"] == 10_000 > result["collected"]["lost"] * 100
    assert result["comparison"] is None
    assert result["metrics"]["validation"]["high_accuracy"]["r2_per_output"].keys() == {"x_velocity", "y_velocity"}
    assert result["metrics"]["validation"]["high_accuracy"]["r2"] > 0.3
    recording = client.recording(result["recording"])
    assert recording.n_bins == result["collected"]["usable"] and recording.bin_s == pytest.approx(0.004)

    client.create_session("m1", stream_name, result["decoder"])
    received = Received(Subscriber(client.start_session("m1").endpoint))
    received.until_estimates(100)
    client.record_session("m1", kinematics=f"{stream_name}-kinematics")
    eventually(lambda: client.recorder("m1"), lambda status: status is not None and not status.waiting_for)
    status, said = command(
        "calibrate", "--url", plane.url, "--neural", stream_name, "--seconds", "20",
        "--kinematics", f"{stream_name}-kinematics", "--decoder", "kalman", "--session", "m1", "--deploy",
        "--input-filter", "low_latency",
        "--json", tmp_path / "second.json",
    )  # fmt: skip
    assert status == 0 and "R2" in said, said
    second = json.loads((tmp_path / "second.json").read_text())
    assert second["comparison"]["decoder"] == result["decoder"] and not second["comparison"]["trained_on_it"]
    raw = second["comparison"]["validation"]["raw"]
    assert raw["new"]["r2"] == pytest.approx(second["metrics"]["validation"]["raw"]["r2"]) and raw["bins"] == 750
    assert f"in use {raw['in_use']['r2']:.3f}" in said
    assert second["deployed"] == {"session": "m1", "revision": 2} and client.session("m1").decoder == second["decoder"]
    received.until(lambda: received.estimates[-1].revision == 2)
    received.subscriber.close()
    with pytest.raises(ControlError, match="used by session m1"):
        client.discard_job(second["job"])
    recorded = client.stop_recording("m1").recording
    client.stop_session("m1")

    xdf, nwb = tmp_path / "recorded.xdf", tmp_path / "recorded.nwb"
    client.download_recording(recorded.id, xdf)
    status, said = command("export", xdf, "--to", "nwb", "--out", nwb)
    assert status == 0, said
    again = ended(plane, client.train(result["recording"], "kalman", session="m1"))
    assert again.error is None and again.result is not None
    assert again.result["comparison"]["session"] == "m1" and "missing" not in again.result["comparison"]
    assert again.result["metrics"]["test"]["high_accuracy"]["r2"] > 0
    discarded = client.discard_job(again.id)
    assert discarded.result is not None and discarded.result["discarded"] == [again.result["decoder"]]


def test_what_is_given_up_leaves_nothing_behind(start: Start, rig: Rig, spawn: Spawn, stream_name: str) -> None:
    """Ctrl-C, a killed process of the job, and a killed control plane."""
    plane = start()
    rig("simulated", "--no-wait")
    arguments = ("--neural", stream_name, "--kinematics", f"{stream_name}-kinematics", "--decoder", "wiener")
    program = spawn("calibrate", "--url", plane.url, "--seconds", "600", *arguments)
    job = collecting(plane)
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 130 and "nothing was kept" in program.said
    assert plane.client.job(job.id).state == "cancelled" and left(plane) == []

    choices = {"neural": stream_name, "kinematics": f"{stream_name}-kinematics", "decoder": "wiener", "seconds": 600}
    job = plane.client.calibrate(**choices)
    collecting(plane)
    (process,) = processes_with(plane.data_dir / "jobs")
    assert process.nice() == 15
    process.kill()
    failed = ended(plane, job)
    assert failed.state == "failed" and "signal 9" in (failed.error or "") and left(plane) == []

    job = plane.client.calibrate(**choices)
    collecting(plane)
    plane.program.process.kill()
    plane.program.wait()
    plane = start()
    interrupted = plane.client.job(job.id)
    assert interrupted.state == "failed" and "interrupted" in (interrupted.error or "") and left(plane) == []
