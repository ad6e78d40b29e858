"""``python -m bmi_decoder.training.job ORDER BUNDLE``: trains for another program, and reports in JSON lines.

`ORDER` is a JSON file, see `Order`. Progress is a line ``{"progress": 0.25, "message": "..."}`` on standard output; an
error is one line on standard error and exit status 2 or 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from bmi_decoder.bundle import read_bundle, write_bundle
from bmi_decoder.config import InputFilterSettings, Settings, SplitSettings
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.formats import read_recording
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train


class Order(Settings):
    """What to train on what, as `TrainSettings` and `read_recording` take it."""

    recording: str
    reading: dict[str, Any]
    decoder: str
    preset: str
    overrides: dict[str, Any]
    input_filter: InputFilterSettings | None
    split: SplitSettings
    seed: int
    init_from: str | None


def main(order: Path, bundle: Path) -> int:
    """Train and write the bundle; returns the exit status."""
    wanted = Order.model_validate_json(order.read_bytes())
    # These networks are small, and a session may be decoding on the same processors.
    torch.set_num_threads(1)
    try:
        settings = TrainSettings(
            decoder=wanted.decoder,
            preset=wanted.preset,
            overrides=wanted.overrides,
            input_filter=wanted.input_filter,
            split=wanted.split,
            seed=wanted.seed,
            init_from=None if wanted.init_from is None else read_bundle(Path(wanted.init_from)),
        )
        recording = read_recording(wanted.recording, **wanted.reading)
        write_bundle(train(recording, settings, _report), bundle)
    except BmiError as error:
        print(str(error).replace(wanted.recording, "recording"), file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _report(epoch: int, total: int, score: float) -> None:
    message = f"epoch {epoch} of {total}, validation R2 {score:.3f}"
    print(json.dumps({"progress": epoch / max(total, 1), "message": message}), flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
