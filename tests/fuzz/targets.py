"""Everything that is fuzzed, and how many inputs each gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.fuzz import bundles, live, recordings
from tests.fuzz.target import Target

COUNTS = {
    "wire": 520_000,
    "settings": 150_000,
    "command": 150_000,
    "manifest": 12_000,
    "bundle": 12_000,
    "program": 60_000,
    "onnx": 3_000,
    "xdf": 2_500,
    "session": 5_000,
    "stevenson": 20_000,
    "npz": 8_000,
    "odoherty": 5_000,
    "nwb": 1_000,
    "csv": 15_000,
    "description": 12_000,
    "outlet": 30_000,
    "rig": 5_000,
    "lsl": 22_500,
    "flight": 6_000,
}
"""Inputs of each target; 10^6 and more in all."""

assert sum(COUNTS.values()) >= 1_000_000

_BUILD: dict[str, Callable[[str, Path], Target]] = {
    "wire": live.wire_frames,
    "settings": live.settings,
    "command": live.commands,
    "manifest": bundles.manifests,
    "bundle": bundles.files,
    "program": bundles.programs,
    "onnx": bundles.steps,
    "xdf": recordings.xdf,
    "session": recordings.sessions,
    "stevenson": recordings.stevenson,
    "npz": recordings.npz,
    "odoherty": recordings.odoherty,
    "nwb": recordings.nwb,
    "csv": recordings.csv,
    "description": live.descriptions,
    "outlet": live.outlets,
    "rig": live.rig_manifests,
    "lsl": live.lsl_configurations,
    "flight": live.flight_files,
}


def build(name: str, folder: Path) -> Target:
    """A target; `folder` is its to write in."""
    return _BUILD[name](name, folder)
