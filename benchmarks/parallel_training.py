"""How much faster s5_rf trains with all bins at once than bin by bin.

``python benchmarks/parallel_training.py RECORDING [--rounds N] [--json FILE]`` times epochs of the training loop over
the training part of a recording, with the preset ``best`` and with its layers set to 4: with the scan of each layer (on
the CPU one compiled pass over time), with the associative scan in torch operations, and step by step. The forms take
turns; medians of processor time are printed, which other load hardly changes. One thread, as in training.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from bmi_decoder.commands.options import write_json
from bmi_decoder.config import SplitSettings
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder, decoder_class
from bmi_decoder.decoders.s5_rf import S5RfDecoder
from bmi_decoder.formats import read_recording
from bmi_decoder.layers import resonate_fire
from bmi_decoder.layers.complex_scan import associative_scan
from bmi_decoder.layers.layer import State
from bmi_decoder.recording import Recording
from bmi_decoder.training.augmentation import Augmentation
from bmi_decoder.training.lanes import lanes
from bmi_decoder.training.schedule import make_optimiser


@contextmanager
def compiled() -> Iterator[None]:
    """The layers as they are."""
    yield


@contextmanager
def associative() -> Iterator[None]:
    """The linear recurrence in log2(T) torch passes, as on a GPU, with autograd's gradient."""
    with patch.object(resonate_fire, "complex_scan", associative_scan):
        yield


@contextmanager
def stepping() -> Iterator[None]:
    """The decoder's step for each bin, with autograd's gradient through time."""
    with patch.object(S5RfDecoder, "scan", Decoder.scan):
        yield


FORMS: dict[str, Callable[[], Any]] = {"compiled scan": compiled, "associative scan": associative, "stepping": stepping}


def epoch(decoder: S5RfDecoder, x: Tensor, y: Tensor, recipe: Any, window: int) -> float:
    """Processor seconds of one pass over x (T, C) and y (T, K) as the training loop makes it."""
    generator = torch.Generator().manual_seed(0)
    optimiser, augment = make_optimiser(decoder, recipe), Augmentation(recipe, True, generator)
    state: State | None = None
    start = time.process_time()
    for inputs, targets in lanes(x, y, recipe.lanes, window, generator):
        state = decoder.initial_state(len(inputs)) if state is None else state
        estimate, following = decoder.scan(augment(inputs), state)
        state = {name: value.detach() for name, value in following.items()}
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(estimate, targets).backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), recipe.gradient_clip)
        optimiser.step()
    return time.process_time() - start


def measure(recording: Recording, layers: int, rounds: int) -> dict[str, float]:
    """Median processor seconds per epoch of each form."""
    preset = decoder_class("s5_rf").presets["best"]
    settings = {**S5RfDecoder.adapt(preset.hyper_parameters, recording.bin_s, True), "layers": layers}
    stop, _ = SplitSettings().bounds(recording.n_bins)
    x, y = torch.from_numpy(recording.counts[:stop]).float(), torch.from_numpy(recording.kinematics[:stop]).float()
    y = (y - y.mean(0)) / y.std(0)
    seconds: dict[str, list[float]] = {name: [] for name in FORMS}
    for _ in range(rounds):
        for name, form in FORMS.items():
            torch.manual_seed(0)
            decoder = build_decoder("s5_rf", recording.n_channels, recording.n_outputs, settings)
            assert isinstance(decoder, S5RfDecoder)
            decoder.calibrate(x)
            with form():
                seconds[name].append(epoch(decoder.train(), x, y, preset.recipe, preset.recipe.window(recording.bin_s)))
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    recording = read_recording(options.recording)
    best = decoder_class("s5_rf").presets["best"].hyper_parameters.get("layers", 2)
    report: dict[str, Any] = {}
    for layers in sorted({best, 4}):
        medians = report[f"{layers} layers"] = measure(recording, layers, options.rounds)
        print(f"{layers} layers, medians of {options.rounds} interleaved epochs")
        for name, seconds in medians.items():
            print(f"  {name:17} {seconds:7.3f} s   {medians['stepping'] / seconds:5.1f} x")
    if options.json is not None:
        write_json(options.json, report)


if __name__ == "__main__":
    main()
