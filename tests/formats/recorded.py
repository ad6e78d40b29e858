"""A recording of a session, written by the recorder's own pieces without any traffic."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from bmi_decoder.config import SessionSettings, StreamSettings
from bmi_decoder.formats.xdf_encode import describe_stream, samples
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Output
from bmi_decoder.wire import Estimate, Flag
from services.recorder.estimates import EstimateTracks
from services.recorder.file import RecordingFile
from services.recorder.intake import Chunk, Intake
from services.recorder.log import EventTrack
from services.recorder.naming import FileName
from tests.control.support import BIN_S, N_CHANNELS

BEGIN, N_BINS = 1000.0, 800


def write_recorded_session(
    folder: Path, bundle: Path, pipeline: Pipeline, gap_at: int | None = None, speed: float = 1.0, n_bins: int = N_BINS
) -> Path:
    """A session of `n_bins` bins with true movement; the rig was away for a second before bin `gap_at`.

    A rig of another `speed` has played bins of `BIN_S`, at another pace.
    """
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 4, (n_bins, N_CHANNELS)).astype(np.float32)
    movement = np.cumsum(rng.normal(size=(n_bins, 2)), axis=0)
    ends = BEGIN + BIN_S / speed * (1 + np.arange(n_bins))
    if gap_at is not None:
        ends[gap_at:] += 1.0
    intake = Intake(1 << 26)
    log, health = EventTrack(intake, "recorder"), EventTrack(intake, "m1-health")
    settings, replay = EventTrack(intake, "m1-settings"), EventTrack(intake, "m1-replay")
    log.put({"event": "start", "utc": "2026-03-01T10:00:00+00:00"}, BEGIN)
    health.put({"event": "connected", "session": "m1", "at": BEGIN + 0.001}, BEGIN + 0.001)
    content = bundle.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    replay.put({"event": "decoder", "sha256": sha256, "bundle": base64.b64encode(content).decode()})
    session = SessionSettings(name="m1", stream=StreamSettings(name="M1"), decoder="x")
    said: dict[str, Any] = {
        "event": "settings", "sequence": 0, "decoder": "linear", "sha256": sha256, "bin_s": BIN_S,
        "outputs": [["x_velocity", "m/s"], ["y_velocity", "m/s"]],
        "output_filters": {"low_latency": {"order": 4, "cutoff_hz": 6.25, "width": 32}, "high_accuracy": None},
        "session": session.model_dump(),
    }  # fmt: skip
    settings.put(said | {"revision": 1})
    settings.put(said | {"revision": 2, "masked_channels": [3, 7]})
    _put(intake, "M1", "spikes", "float32", [(f"e{k}", "spikes") for k in range(N_CHANNELS)], ends, counts, speed)
    axes = [("x_velocity", "m/s"), ("y_velocity", "m/s")]
    _put(intake, "M1-kinematics", "kinematics", "double64", axes, ends, movement, speed)
    tracks = EstimateTracks(intake, "m1")
    tracks.outputs = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    pipeline.reset()
    for k, outputs in enumerate(pipeline.run(counts)):
        flags = Flag.WARM_UP if k < max(pipeline.warm_up) else Flag(0)
        t_valid = np.full(len(pipeline.variants), ends[k])
        revision = 1 if k < 300 else 2
        tracks.add(Estimate(k, k, ends[k], ends[k] + 1e-4, flags, revision, pipeline.variants, t_valid, outputs))
    tracks.flush()
    file = RecordingFile(folder, FileName(participant="P1"), BEGIN)
    chunks, dropped = intake.take(0)
    assert not dropped
    for chunk in chunks:
        file.write(chunk)
    file.close()
    return file.path


def _put(
    intake: Intake, name: str, kind: str, form: str, channels: Any, ends: np.ndarray, values: np.ndarray, speed: float
) -> None:
    rate = f"<nominal_srate>{speed / BIN_S}</nominal_srate>".encode()
    header = describe_stream(name, kind, form, channels, name, {"speed": str(speed)}).replace(
        b"<nominal_srate>0</nominal_srate>", rate
    )
    track = intake.own_track(name, kind, header)
    intake.put(Chunk(track, samples(track.number, form, ends, values), BEGIN, len(ends), ends[0], ends[-1]))
