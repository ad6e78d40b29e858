"""Does a network without spikes shorten the training of a spiking one? ``python benchmarks/bridge.py RECORDING``.

For each seed: trains the twin, then the spiking decoder from scratch and from the twin (`train --init-from`) with the
same settings, and prints the epochs and the seconds after which validation R2 first reached given values, and the best
that it reached. Seconds are those of this machine under its load of the moment; the twin's own are not in the bridge's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmi_decoder.bundle import Bundle
from bmi_decoder.commands.options import parse_assignments
from bmi_decoder.formats import read_recording
from bmi_decoder.recording import Recording
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train

Trace = list[tuple[float, float]]
"""Seconds since the start of training and validation R2, after each epoch."""


def trained(recording: Recording, settings: TrainSettings) -> tuple[Bundle, Trace]:
    """A bundle, and what validation R2 was on the way."""
    trace: Trace = []
    started = time.perf_counter()
    bundle = train(recording, settings, lambda *told: trace.append((time.perf_counter() - started, told[2])))
    return bundle, trace


def reached(trace: Trace, target: float) -> tuple[int, float] | None:
    """Epochs and seconds until validation R2 was at least `target`."""
    for epoch, (seconds, score) in enumerate(trace, start=1):
        if score >= target:
            return epoch, seconds
    return None


def measure(
    recording: Recording, twin: str, decoder: str, shared: dict[str, Any], own: dict[str, Any], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Traces of all runs, one entry per seed."""
    runs = []
    for seed in seeds:
        ann, twin_trace = trained(recording, TrainSettings(twin, overrides=shared, seed=seed))
        entry: dict[str, Any] = {"seed": seed, "twin": twin_trace}
        for name, init_from in (("scratch", None), ("bridge", ann)):
            settings = TrainSettings(decoder, overrides={**shared, **own}, seed=seed, init_from=init_from)
            bundle, entry[name] = trained(recording, settings)
            entry[f"{name}_test"] = bundle.manifest.metrics["test"]["raw"]["r2"]
            print(f"seed {seed} {name}: best {max(s for _, s in entry[name]):.4f}", flush=True)
        runs.append(entry)
    return runs


def report(runs: list[dict[str, Any]], targets: Sequence[float]) -> str:
    """One line per target and start: epochs and seconds of each seed."""
    lines = ["start     target   epochs per seed      seconds per seed"]
    for target in targets:
        for name in ("scratch", "bridge"):
            found = [reached(run[name], target) for run in runs]
            epochs = " ".join(f"{'-' if hit is None else hit[0]:>4}" for hit in found)
            seconds = " ".join(f"{'-' if hit is None else round(hit[1]):>5}" for hit in found)
            lines.append(f"{name:9} {target:.2f}     {epochs:20} {seconds}")
    for name in ("twin", "scratch", "bridge"):
        best = [max(score for _, score in run[name]) for run in runs]
        seconds = [run[name][-1][0] for run in runs]
        lines.append(
            f"{name:9} best validation R2 {np.mean(best):.3f} ({', '.join(f'{value:.3f}' for value in best)}) after "
            f"{len(runs[0][name])} epochs, {np.mean(seconds):.0f} s"
        )
    for name in ("scratch", "bridge"):
        test = [run[f"{name}_test"] for run in runs]
        lines.append(f"{name:9} test R2 {np.mean(test):.3f} ({', '.join(f'{value:.3f}' for value in test)})")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--decoder", default="snn_3d")
    parser.add_argument("--twin", default="ann_2d")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--targets", default="0.75,0.80,0.83,0.85,0.86")
    parser.add_argument("--set", action="append", default=[], help="of both networks: sizes, updates")
    parser.add_argument("--own", action="append", default=[], help="of the spiking decoder alone")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shared, own = parse_assignments(options.set), parse_assignments(options.own)
    runs = measure(read_recording(options.recording), options.twin, options.decoder, shared, own, range(options.seeds))
    if options.json is not None:
        options.json.write_text(json.dumps(runs))
    print(report(runs, [float(target) for target in options.targets.split(",")]))


if __name__ == "__main__":
    main()
