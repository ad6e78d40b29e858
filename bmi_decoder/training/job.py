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

from bmi_decoder.bundle import Bundle, read_bundle, write_bundle
from bmi_decoder.config import InputFilterSettings, MaskedChannels, OutputFilterSettings, Settings, SplitSettings
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.evaluation.paired import paired
from bmi_decoder.formats import read_recording
from bmi_decoder.recording import Recording
from bmi_decoder.split import split_bounds
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train


class InUse(Settings):
    """What a session decodes with, to be compared with what is trained."""

    session: str
    decoder: str
    bundle: str
    output_filters: OutputFilterSettings | None
    masked_channels: MaskedChannels
    report: str


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
    init_from: str | None = None
    in_use: InUse | None = None

    @property
    def settings(self) -> TrainSettings:
        """As `train` takes them."""
        return TrainSettings(
            decoder=self.decoder,
            preset=self.preset,
            overrides=self.overrides,
            input_filter=self.input_filter,
            split=self.split,
            seed=self.seed,
            init_from=None if self.init_from is None else read_bundle(Path(self.init_from)),
        )


def main(order: Path, bundle: Path) -> int:
    """Train and write the bundle; returns the exit status."""
    wanted = Order.model_validate_json(order.read_bytes())
    # These networks are small, and a session may be decoding on the same processors.
    torch.set_num_threads(1)
    try:
        recording = read_recording(wanted.recording, **wanted.reading)
        trained = train(recording, wanted.settings, _report)
        if (used := wanted.in_use) is not None:
            _report_comparison(trained, used, recording, wanted.split)
        write_bundle(trained, bundle)
    except BmiError as error:
        print(str(error).replace(wanted.recording, "recording"), file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _report_comparison(trained: Bundle, used: InUse, recording: Recording, split: SplitSettings) -> None:
    """Hold both decoders against the movement in the same bins, and write how they fare."""
    told: dict[str, Any] = {"session": used.session, "decoder": used.decoder}
    try:
        first, second = split_bounds(recording, split)
        parts = {"validation": (first, second), "test": (second, recording.n_bins)}
        in_use = read_bundle(Path(used.bundle))
        told |= paired(trained, in_use, used.output_filters, recording, parts, used.masked_channels)
    except InputError as error:
        told["missing"] = str(error)
    Path(used.report).write_text(json.dumps(told))


def _report(epoch: int, total: int, score: float) -> None:
    message = f"epoch {epoch} of {total}, validation R2 {score:.3f}"
    print(json.dumps({"progress": epoch / max(total, 1), "message": message}), flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
