"""``bmi-decoder evaluate``: how good a bundle is on a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmi_decoder.bundle import read_bundle
from bmi_decoder.commands.options import add_json, write_json
from bmi_decoder.config import SplitSettings
from bmi_decoder.evaluation.variants import evaluate
from bmi_decoder.formats import read_recording
from bmi_decoder.pipeline import Pipeline


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("evaluate", help="judge a bundle on a recording")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("recording", type=Path, metavar="RECORDING")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print R2 per variant over the whole recording, and over the test part of a recording it was trained on."""
    bundle = read_bundle(options.bundle)
    pipeline = Pipeline(bundle)
    recording = read_recording(options.recording, pipeline.bin_s)
    training = bundle.manifest.training
    seen = recording.fingerprint() == training.fingerprint
    train, validation, test = training.split
    split = SplitSettings(train=train, validation=validation, test=test)
    start = split.bounds(recording.n_bins)[1] if seen else 0
    figures = evaluate(pipeline, recording, start)
    if options.json != "-":
        print(f"bins {start} to {recording.n_bins}" + (": the part kept for testing" if seen else ""))
        for variant, values in figures.items():
            print(f"{variant:14} R2 {values['r2']:.3f}   causal {values['r2_causal']:.3f}")
    write_json(
        options.json,
        {
            "bundle": str(options.bundle),
            "recording": recording.source,
            "trained_on_this_recording": seen,
            "start_bin": start,
            "variants": figures,
        },
    )
    return 0
