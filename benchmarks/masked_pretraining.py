"""What masked pretraining on unlabelled counts is worth: ``python benchmarks/masked_pretraining.py RECORDING``.

For each seed and each share of labels: trains from scratch; after self-supervised pretraining on the counts of all of
the training part (`train --set masked_updates=N`); and from scratch with as many updates as both of these take. All
learn the kinematics of the last share of the training part alone, take the channels' statistics from all of it, and
are judged on the validation part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmi_decoder.commands.options import parse_assignments
from bmi_decoder.decoders.registry import decoder_class
from bmi_decoder.formats import read_recording
from bmi_decoder.recording import Recording
from bmi_decoder.training.train import TrainSettings, train


def measure(
    recording: Recording,
    decoder: str,
    overrides: dict[str, Any],
    masked_updates: int,
    shares: Sequence[float],
    seeds: Sequence[int],
) -> list[dict[str, Any]]:
    """Validation R2 of each run, one entry per share and seed."""
    updates = overrides.get("updates", decoder_class(decoder).presets["best"].recipe.updates)
    arms = {"scratch": (updates, 0), "longer": (updates + masked_updates, 0), "pretrained": (updates, masked_updates)}
    runs = []
    for share in shares:
        for seed in seeds:
            entry: dict[str, Any] = {"labelled": share, "seed": seed}
            for name, (supervised, masked) in arms.items():
                own = {**overrides, "labelled": share, "updates": supervised, "masked_updates": masked}
                bundle = train(recording, TrainSettings(decoder, overrides=own, seed=seed))
                entry[name] = bundle.manifest.metrics["validation"]["raw"]["r2"]
                entry[f"{name}_seconds"] = bundle.manifest.training.seconds
            print(json.dumps(entry), flush=True)
            runs.append(entry)
    return runs


def report(runs: Sequence[dict[str, Any]]) -> str:
    """One line per share: means over seeds, and every seed's gain over training as long from scratch."""
    lines = ["labelled  scratch  as long  pretrained  gain over as long, each seed"]
    for share in dict.fromkeys(run["labelled"] for run in runs):
        own = [run for run in runs if run["labelled"] == share]
        scratch, longer, pretrained = (
            np.array([run[name] for run in own]) for name in ("scratch", "longer", "pretrained")
        )
        gains = pretrained - longer
        each = " ".join(f"{gain:+.3f}" for gain in gains)
        lines.append(
            f"{share:<8.0%}  {scratch.mean():.3f}    {longer.mean():.3f}    {pretrained.mean():.3f}       "
            f"{gains.mean():+.3f}  {each}"
        )
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--decoder", default="spikformer")
    parser.add_argument("--masked-updates", type=int, default=400)
    parser.add_argument("--labelled", default="0.1", help="shares of the training part, with commas between")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="of both trainings: sizes, updates")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shares = [float(share) for share in options.labelled.split(",")]
    runs = measure(
        read_recording(options.recording),
        options.decoder,
        parse_assignments(options.set),
        options.masked_updates,
        shares,
        range(options.seeds),
    )
    if options.json is not None:
        options.json.write_text(json.dumps(runs))
    print(report(runs))


if __name__ == "__main__":
    main()
