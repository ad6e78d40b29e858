"""``bmi-decoder decode``: the live pipeline, offline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from bmi_decoder.bundle import read_bundle
from bmi_decoder.commands.options import say
from bmi_decoder.errors import BmiError
from bmi_decoder.formats import read_recording
from bmi_decoder.pipeline import Pipeline


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("decode", help="decode a recording offline with the live pipeline")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("recording", type=Path, metavar="RECORDING")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.npz")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the outputs of every variant, and the times that they describe."""
    pipeline = Pipeline(read_bundle(options.bundle))
    recording = read_recording(options.recording, pipeline.bin_s)
    decoded = pipeline.decode(recording)
    t_source = recording.t0 + (np.arange(recording.n_bins) + 1) * recording.bin_s
    since_reset = np.concatenate([np.arange(stop - start) for start, stop in recording.spans])
    arrays: dict[str, Any] = {
        "t_source": t_source,
        "outputs": np.array([output.name for output in pipeline.outputs]),
        "units": np.array([output.unit for output in pipeline.outputs]),
    }
    for v, variant in enumerate(pipeline.variants):
        arrays[variant.name] = decoded[:, v]
        lookahead = np.where(since_reset < pipeline.warm_up[v], 0, pipeline.lookahead[v])
        arrays[f"t_valid_{variant.name}"] = t_source - lookahead * recording.bin_s
    try:
        with options.out.open("wb") as file:  # a name would get another end if it is not .npz
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise BmiError(f"cannot write {options.out}: {error.strerror}") from None
    say(f"{options.out}: {recording.n_bins} bins, {', '.join(variant.name for variant in pipeline.variants)}")
    return 0
