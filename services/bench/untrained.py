"""Decoders with initial weights, for benches."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings
from bmi_decoder.errors import BmiError

_FILTER = BlockFilterSettings(cutoff_hz=6.25)
_SLOWEST_FOR_FILTER_HZ = 15.0


def untrained_bundle(decoder: str, hyper_parameters: dict[str, Any], rate_hz: float, n_channels: int) -> Bundle:
    """A registered decoder with initial weights and both output filters.

    Made by another process: nothing that can be part of a service imports torch.

    Raises
    ------
    BmiError
        If there is no such decoder, or it cannot have these settings.
    """
    # Slower streams cannot carry the filter: its cutoff lies above half their rate.
    filters = (
        OutputFilterSettings(low_latency=_FILTER, high_accuracy=_FILTER)
        if rate_hz >= _SLOWEST_FOR_FILTER_HZ
        else OutputFilterSettings()
    )
    order = {
        "name": decoder,
        "n_channels": n_channels,
        "bin_s": 1 / rate_hz,
        "hyper_parameters": hyper_parameters,
        "output_filters": filters.model_dump(mode="json"),
    }
    with tempfile.TemporaryDirectory(prefix="bmi-decoder-bench-") as folder:
        path = Path(folder) / "untrained.bmi"
        done = subprocess.run(
            [sys.executable, "-m", "bmi_decoder.training.untrained", json.dumps(order), str(path)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise BmiError(f"decoder {decoder!r} cannot be made: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return read_bundle(path)
