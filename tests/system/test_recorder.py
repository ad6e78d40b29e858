"""A recorder beside a running session, and the session decoded again from what it wrote."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyxdf

from bmi_decoder.cli import main
from bmi_decoder.client import ControlError
from bmi_decoder.events import RecordingEvent
from bmi_decoder.formats import read_recording
from bmi_decoder.recorded_session import read_session
from tests.system.conftest import Control, Rig, Spawn, StartSession
from tests.system.support import ROOT, Live, Program
from tests.waiting import eventually

DEMO = ROOT / "services" / "demo" / "demo.bmi"
MASKED = [0, 17, 18, 95]
OTHER_FILTERS = {"low_latency": {"order": 2, "cutoff_hz": 8, "width": 24}}


class Recorder:
    """``bmi-decoder record`` on a session, and what its status file says."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program, self._folder = program, folder
        self.commands = folder / "commands"

    @property
    def status(self) -> dict[str, Any]:
        path = self._folder / "status.json"
        return json.loads(path.read_text()) if path.exists() else {"state": "", "streams": [], "waiting_for": ["all"]}

    def samples(self, name: str) -> int:
        return next((stream["samples"] for stream in self.status["streams"] if stream["name"] == name), 0)

    def wait_found(self) -> None:
        """Wait until all its sources are there."""
        eventually(lambda: self.status, lambda status: not status["waiting_for"])

    def tell(self, command: str) -> dict[str, Any]:
        assert main(["record", "--tell", command, "--commands", str(self.commands)]) == 0
        return self.status


def record(spawn: Spawn, control: Control, live: Live, folder: Path, *options: str) -> Recorder:
    program = spawn(
        "record", live.name, "--data-dir", control.data_dir, "--kinematics", f"{live.stream}-kinematics",
        "--folder", folder / "recordings", "--commands", folder / "commands", "--status", folder / "status.json",
        *options,
    )  # fmt: skip
    return Recorder(program, folder)


def the_file(folder: Path) -> Path:
    (path,) = (folder / "recordings").rglob("*.xdf")
    return path


def check(path: Path, speed: float, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Decode it again; returns the exit status and what was compared."""
    # pylsl is loaded already, with the tests' configuration.
    monkeypatch.setattr("services.replay.command.configure_lsl", lambda choice: None)
    capsys.readouterr()
    status = main(["replay", str(path), "--check", "--speed", str(speed), "--json", "-"])
    return status, json.loads(capsys.readouterr().out)


def test_a_recorded_session_is_decoded_again_bit_for_bit(
    spawn: Spawn,
    control: Control,
    rig: Rig,
    start_session: StartSession,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the middle of the session, with what came before "record", and through a swap of filters and mask."""
    live = start_session(DEMO)
    rig("simulated")
    live.received.until_estimates(200)
    recorder = record(spawn, control, live, tmp_path, "--armed", "--pretrigger", "1.0")
    recorder.wait_found()
    live.wait_decoded(for_s=1.2)
    assert recorder.status["state"] == "armed"
    before = live.received.estimates[-1].t_source
    assert recorder.tell("start")["state"] == "recording"
    control.client.change_session(live.name, output_filters=OTHER_FILTERS, masked_channels=MASKED)
    live.received.until_event("swap")
    live.wait_decoded(for_s=0.4)
    status = recorder.tell("stop")
    assert status["state"] == "armed" and status["message"] == "" and status["elapsed_s"] > 1
    path = the_file(tmp_path)
    assert (
        path.stat().st_size == status["size_bytes"] and path.name == "sub-unknown_ses-01_task-decode_run-001_neural.xdf"
    )

    logging.getLogger("pyxdf.pyxdf").handlers.clear()
    with caplog.at_level(logging.WARNING):
        streams, _ = pyxdf.load_xdf(path)
    assert caplog.records == []
    assert all(int(one["footer"]["info"]["sample_count"][0]) == len(one["time_stamps"]) for one in streams)
    names = {one["info"]["name"][0].removeprefix(live.name) for one in streams}
    assert names >= {live.stream, f"{live.stream}-kinematics", "-raw", "-low_latency", "-high_accuracy", "-estimates"}

    session = read_session(path)
    about = session.estimates
    assert about["t_source"][0] < before - 0.5 and len(session.settings) == 2
    assert [session.settings_of(revision)["masked_channels"] for revision in (1, 2)] == [[], MASKED]
    live.received.until(lambda: live.received.sequences[-1] >= about["sequence"][-1])
    sent = {estimate.sequence: estimate for estimate in live.received.estimates}
    for decoded in session.decoded:
        outputs = np.asarray(decoded.stream.values)
        for k, row in enumerate(decoded.rows):
            one = sent[int(about["sequence"][row])]
            np.testing.assert_array_equal(outputs[k], one.variant(decoded.variant))
            assert decoded.stream.times[k] == one.t_valid[one.variants.index(decoded.variant)]
    assert np.array_equal(np.diff(about["sequence"]), np.ones(len(about["sequence"]) - 1))
    recording = read_recording(path)
    assert recording.n_channels == 96 and len(recording.spans) == 1 and recording.n_bins > 400

    status_, compared = check(path, 4.0, capsys, monkeypatch)
    assert status_ == 0 and compared["passes"] == 2, compared
    assert compared["compared"] > 0.6 * compared["estimates"] > 200


def test_a_killed_recorder_loses_less_than_a_second(
    spawn: Spawn,
    control: Control,
    rig: Rig,
    start_session: StartSession,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what it has recorded is decoded again, through a rig that went away and came back."""
    live = start_session(DEMO)
    recorder = record(spawn, control, live, tmp_path)
    first = rig("simulated")
    recorder.wait_found()
    eventually(lambda: recorder.samples(live.stream), lambda n: n > 200)
    first.process.send_signal(signal.SIGTERM)
    live.received.until_event("lost")
    rig("simulated", "--seed", "1")
    live.received.until_event("connected", 2)
    written = recorder.samples(live.stream)
    eventually(lambda: recorder.samples(live.stream), lambda n: n > written + 100)
    live.wait_decoded(for_s=0.4)
    recorder.program.process.kill()
    killed_at = time.monotonic()
    recorder.program.wait()
    live.received.read()
    path = the_file(tmp_path)
    session = read_session(path)
    assert killed_at - session.neural.times[-1] < 1
    # Of what was published: a worker on a machine that is overloaded may be behind itself.
    published = max(one.t_publish for one in live.received.estimates if one.t_publish < killed_at)
    assert published - session.estimates["t_publish"][-1] < 1
    assert len(session.neural.spans) == 2
    assert [event["event"] for _, event in session.log].count("found") == 4
    assert session.remarks == () or "ends inside a chunk" in session.remarks[0]
    status, compared = check(path, 4.0, capsys, monkeypatch)
    assert status == 0 and compared["passes"] == 2 and compared["estimates"] - compared["compared"] < 150, compared


def test_a_session_is_recorded_over_rest(control: Control, rig: Rig, start_session: StartSession) -> None:
    """Begun, refused a second time, ended, stored, and fit to train on."""
    client, live = control.client, start_session(DEMO)
    told: list[RecordingEvent] = []

    def listen() -> None:
        for event in client.events(live.name):
            if isinstance(event, RecordingEvent):
                told.append(event)
            if len(told) == 7:
                return

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    assert client.recorder(live.name) is None
    with pytest.raises(ControlError, match="not being recorded"):
        client.stop_recording(live.name)
    rig("simulated")
    client.record_session(live.name, armed=True)
    with pytest.raises(ControlError, match="only armed"):
        client.stop_recording(live.name)
    for _ in range(2):
        client.disarm_recorder(live.name)
        assert client.recorder(live.name) is None

    client.record_session(live.name, kinematics=f"{live.stream}-kinematics", participant="P7", armed=True)
    held = eventually(lambda: client.recorder(live.name), lambda one: one is not None and one.before_s > 0.5)
    begun = client.record_session(live.name)
    assert held is not None and begun.state == "recording" and begun.before_s >= held.before_s
    with pytest.raises(ControlError, match="is being recorded"):
        client.disarm_recorder(live.name)
    with pytest.raises(ControlError, match="is being recorded") as refused:
        client.record_session(live.name)
    assert refused.value.status == 409

    def samples() -> int:
        status = client.recorder(live.name)
        assert status is not None
        return next((one.samples for one in status.streams if one.name == f"{live.stream}-kinematics"), 0)

    eventually(samples, lambda n: n > 100)
    done = client.stop_recording(live.name)
    assert done.status.state == "ended" and done.status.message == "" and done.status.elapsed_s > 0
    assert done.recording.file_name == "sub-P7_ses-01_task-decode_run-001_neural.xdf"
    assert done.recording.n_channels == 96 and (done.recording.n_bins or 0) > 50 and done.recording.problem == ""
    assert done.recording.size_bytes == done.status.size_bytes
    assert client.recorder(live.name) is None

    # One that is killed: what it wrote is stored all the same.
    os.kill(client.record_session(live.name).pid, signal.SIGKILL)
    crashed = eventually(lambda: client.recorder(live.name), lambda one: one is not None and one.state == "ended")
    assert crashed is not None and "ended unexpectedly" in crashed.message
    assert client.stop_recording(live.name).recording.format == "xdf"
    listening.join(20)
    assert [event.state for event in told] == ["armed", "ended", "armed", "recording", "ended", "recording", "ended"]
    assert [bool(event.message) for event in told] == [False] * 6 + [True]
    assert live.status.state == "running"
