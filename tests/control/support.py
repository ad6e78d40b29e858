"""What the tests of the control plane share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import psutil

from bmi_decoder.bundle import Bundle, Manifest, OutputInfo, TrainingInfo, write_bundle
from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings
from bmi_decoder.machine.builder import Builder

N_CHANNELS, BIN_S = 8, 0.004


def write_linear_bundle(
    path: Path,
    gain: float = 1.0,
    n_channels: int = N_CHANNELS,
    bin_s: float = BIN_S,
    unit: str = "m/s",
    n_hidden: int = 0,
) -> Path:
    """A decoder that needs no torch: two weighted sums of the channels, by way of many units if it is to be large."""
    builder = Builder(n_channels)
    units = builder.input()
    if n_hidden:
        units = builder.linear(units, np.full((n_hidden, n_channels), 1.0))
        gain /= n_hidden
    builder.output(builder.linear(units, np.full((2, n_hidden or n_channels), gain)))
    training = TrainingInfo(
        source="test",
        fingerprint="0" * 64,
        split=(0.7, 0.1, 0.2),
        preset="none",
        recipe={},
        seed=0,
        epochs=0,
        best_epoch=0,
        seconds=0.0,
    )
    manifest = Manifest(
        decoder="linear",
        hyper_parameters={},
        n_channels=n_channels,
        channels=tuple(f"ch{i}" for i in range(n_channels)),
        bin_s=bin_s,
        outputs=(OutputInfo(name="x_velocity", unit=unit), OutputInfo(name="y_velocity", unit=unit)),
        output_filters=OutputFilterSettings(low_latency=BlockFilterSettings(cutoff_hz=6.25)),
        metrics={"r2": 0.7},
        training=training,
        versions={},
    )
    write_bundle(Bundle(manifest, builder.build(), b"weights", b"onnx"), path)
    return path


def processes_of(control_dir: Path) -> list[psutil.Process]:
    """Live processes, workers or servers, that work on a data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and any(str(control_dir) in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def flight_of(control_dir: Path, name: str) -> Path:
    """The flight recorder that a session's worker was told to write."""
    settings = json.loads((control_dir / "sessions" / name / "worker.json").read_text())
    return Path(settings["flight"])
