"""``python -m bmi_decoder.training.check_job CHECK``: whether a decoder can be trained on data still to be collected.

`CHECK` is a JSON file, see `Check`. An error is one line on standard error and exit status 2.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
from pydantic import Field

from bmi_decoder.config import Settings
from bmi_decoder.errors import InputError
from bmi_decoder.formats.rebin import rebin
from bmi_decoder.recording import Output, Recording
from bmi_decoder.split import split_bounds
from bmi_decoder.training.job import Order
from bmi_decoder.training.settings import TrainSettings, check_settings, decoder_and_recipe


class Check(Settings):
    """What will be collected, and what is to be trained on it."""

    order: str = Field(description="Path of the training's order.")
    n_channels: int = Field(ge=1)
    n_outputs: int = Field(ge=1)
    bin_s: float = Field(gt=0, description="Of the stream.")
    seconds: float = Field(gt=0)


def main(path: Path) -> int:
    """Check, and say why it cannot be; returns the exit status."""
    print(json.dumps({"progress": 0.0, "message": "checking the decoder's settings"}), flush=True)
    check = Check.model_validate_json(path.read_bytes())
    order = Order.model_validate_json(Path(check.order).read_bytes())
    try:
        check_collection(check, order.settings, order.reading["bin_s"])
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def check_collection(check: Check, settings: TrainSettings, bin_s: float) -> None:
    """Raise an InputError if these settings cannot be trained on so much data.

    Parameters
    ----------
    check : Check
    settings : TrainSettings
    bin_s : float
        Bins to train on.
    """
    n_bins = round(check.seconds / check.bin_s)
    # Shaped like what will come, without taking its memory.
    expected = Recording(
        np.broadcast_to(np.zeros((1, check.n_channels), np.uint8), (n_bins, check.n_channels)),
        np.broadcast_to(np.zeros((1, check.n_outputs)), (n_bins, check.n_outputs)),
        tuple(Output(f"output {i}", "") for i in range(check.n_outputs)),
        check.bin_s,
        source="what will be collected",
    )
    expected = rebin(expected, bin_s)
    check_settings(expected, settings)
    decoder, recipe = decoder_and_recipe(expected, settings)
    first, _ = split_bounds(expected, settings.split)
    window = recipe.window(bin_s)
    if first < window and not decoder.closed_form:
        needed = math.ceil(window * bin_s / settings.split.train * 10) / 10
        raise InputError(
            f"{check.seconds:g} s are too few for decoder {settings.decoder!r}: it is trained in windows of "
            f"{window * bin_s:g} s, and the training part is {settings.split.train:g} of all. Collect {needed:g} s at "
            "least, or set window_s"
        )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
