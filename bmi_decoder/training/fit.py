"""Training of any decoder on one recording, by the loop or in closed form."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.training.auxiliary import Objectives
from bmi_decoder.training.checkpoint import Checkpoint
from bmi_decoder.training.device import on_device
from bmi_decoder.training.loop import FitReport, Loop, Progress, Stretch
from bmi_decoder.training.position import position_targets
from bmi_decoder.training.recipe import Recipe

Begin = Callable[[Decoder, Tensor], None]
"""Gives a decoder, calibrated on the training input, parameters to start from, in units of the targets."""


def fit(
    decoder: Decoder,
    train: Stretch,
    validation: Stretch,
    recipe: Recipe,
    bin_s: float,
    seed: int,
    are_counts: bool,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    device: torch.device | None = None,
    begin: Begin | None = None,
    calibration: Tensor | None = None,
) -> FitReport:
    """Train a decoder in place, and leave it with the weights of the best validation epoch.

    Lanes of the stream are trained side by side with their state carried from window to window, so training
    sees the states that a live decoder sees. Targets are standardised for training and the scale is folded
    into the decoder at the end. A decoder with a closed form is fitted by that instead; `recipe`, `seed`,
    `progress`, `checkpoint` and `device` then have no effect.

    Parameters
    ----------
    decoder : Decoder
        On the CPU; it is there again at the end.
    train, validation : Stretch
    recipe : Recipe
    bin_s : float
        Bin width in seconds, which sets the length of a window.
    seed : int
        Determines everything random in the loop.
    are_counts : bool
        Whether x holds spike counts rather than filtered channels.
    progress : callable, optional
    checkpoint : Checkpoint, optional
        Where the loop's state is kept, and found to go on from.
    device : torch.device, optional
        Where the loop runs; None is the CPU.
    begin : callable, optional
        What the loop starts from instead of the decoder's initial parameters.
    calibration : Tensor (T, C), optional
        Input that `Decoder.calibrate` takes its statistics from; None is that of `train`.

    Raises
    ------
    InputError
        If the recipe asks for position targets and the decoder has nothing that they could be read from.
    BmiError
        If the loss stops being finite.
    """
    started = time.perf_counter()
    if decoder.closed_form:
        decoder.fit_closed_form(train.x, train.y, validation.x, validation.y)
        decoder.eval()
        reached = mean_r2(validation.y.numpy(), predict(decoder, validation.x).numpy())
        return FitReport(0, 0, reached, time.perf_counter() - started)
    torch.manual_seed(seed)  # dropout layers draw from the global generator
    decoder.calibrate(train.x if calibration is None else calibration)
    standardised, scale, shift = train.standardised()
    if begin is not None:
        begin(decoder, train.x)
        decoder.scale_output(1 / scale, -shift / scale)
    on = torch.device("cpu") if device is None else device
    objectives = objectives_of(decoder, recipe, bin_s, are_counts)
    loop = Loop(decoder, objectives, [standardised], recipe, recipe.window(bin_s), seed, are_counts, on)

    def score(current: Decoder) -> float:
        estimate = predict(current, validation.x, loop.device) * scale + shift
        return mean_r2(validation.y.numpy(), estimate.numpy())

    report = loop.run(score, progress, checkpoint)
    decoder.eval()
    decoder.scale_output(scale, shift)
    return report


def objectives_of(decoder: Decoder, recipe: Recipe, bin_s: float, are_counts: bool) -> Objectives:
    """What a training minimises: the decoder's own auxiliaries, and position targets where the recipe has them."""
    auxiliaries = [*decoder.auxiliaries(are_counts), *position_targets(decoder, recipe, bin_s)]
    return Objectives(auxiliaries)


@torch.no_grad()
def predict(decoder: Decoder, x: Tensor, device: torch.device | None = None) -> Tensor:
    """Estimates from the initial state on, on the CPU."""
    was_training = decoder.training
    decoder.eval()
    state = decoder.initial_state(1)
    if device is not None:
        x, state = x.to(device), on_device(device, state)
    y = decoder.scan(x[None], state)[0][0]
    decoder.train(was_training)
    return y.cpu()
