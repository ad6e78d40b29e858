"""The training loop, one for all decoders: stateful truncated backpropagation through the whole stream."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.errors import BmiError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.training.augmentation import Augmentation
from bmi_decoder.training.lanes import lanes, n_windows
from bmi_decoder.training.recipe import Recipe

Progress = Callable[[int, int, float], None]
"""Called after each epoch with its number, the number of epochs, and the validation R2."""


_SETTLING_BINS = 20


@dataclass(frozen=True)
class Stretch:
    """Decoder input x (T, C) and targets y (T, K) on the same bins, both float32."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class FitReport:
    """What the loop did."""

    epochs: int
    best_epoch: int
    validation_r2: float
    seconds: float


def fit(
    decoder: Decoder,
    train: Stretch,
    validation: Stretch,
    recipe: Recipe,
    seed: int,
    are_counts: bool,
    progress: Progress | None = None,
) -> FitReport:
    """Train a decoder in place, and leave it with the weights of the best validation epoch.

    Lanes of the stream are trained side by side with their state carried from window to window, so training
    sees the states that a live decoder sees. Targets are standardised for training and the scale is folded
    into the decoder at the end. A decoder with a closed form is fitted by that instead; `recipe`, `seed` and
    `progress` then have no effect.

    Parameters
    ----------
    decoder : Decoder
    train, validation : Stretch
    recipe : Recipe
    seed : int
        Determines everything random in the loop.
    are_counts : bool
        Whether x holds spike counts rather than filtered channels.
    progress : callable, optional

    Raises
    ------
    BmiError
        If the loss stops being finite.
    """
    started = time.perf_counter()
    if decoder.closed_form:
        decoder.fit_closed_form(train.x, train.y, validation.x, validation.y)
        decoder.eval()
        score = mean_r2(validation.y.numpy(), _predict(decoder, validation.x).numpy())
        return FitReport(0, 0, score, time.perf_counter() - started)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout layers draw from the global generator
    decoder.calibrate(train.x)
    scale, shift = torch.std_mean(train.y, 0)
    scale = scale.clamp(min=1e-12)
    target = (train.y - shift) / scale
    augment = Augmentation(recipe, are_counts, generator)
    windows = n_windows(len(train.x), recipe.lanes, recipe.window)
    epochs = recipe.passes(windows)
    optimiser, schedule = _optimiser(decoder, recipe, epochs * windows)
    averaged = _Averaged(decoder, recipe.averaging)
    best, best_epoch, epoch = -np.inf, 0, 0
    weights = copy.deepcopy(decoder.state_dict())
    for epoch in range(1, epochs + 1):
        _train_epoch(decoder, train.x, target, recipe, generator, augment, optimiser, schedule, averaged, epoch)
        candidate = averaged.decoder
        score = mean_r2(validation.y.numpy(), (_predict(candidate, validation.x) * scale + shift).numpy())
        if score > best:
            best, best_epoch, weights = score, epoch, copy.deepcopy(candidate.state_dict())
        if progress is not None:
            progress(epoch, epochs, score)
        if recipe.patience is not None and epoch - best_epoch >= recipe.patience:
            break
    decoder.load_state_dict(weights)
    decoder.eval()
    decoder.scale_output(scale, shift)
    return FitReport(epoch, best_epoch, float(best), time.perf_counter() - started)


def _train_epoch(
    decoder: Decoder,
    x: Tensor,
    target: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    augment: Augmentation,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    averaged: _Averaged,
    epoch: int,
) -> None:
    decoder.train()
    state = None
    for inputs, targets in lanes(x, target, recipe.lanes, recipe.window, generator):
        settling = 0
        if state is None:
            # The lanes begin in mid-stream, where a state of rest is wrong: the first bins only fill it.
            state, settling = decoder.initial_state(inputs.shape[0]), min(_SETTLING_BINS, recipe.window // 2)
        estimate, state = decoder.scan(augment(inputs), state)
        state = {name: value.detach() for name, value in state.items()}
        loss = torch.nn.functional.mse_loss(estimate[:, settling:], targets[:, settling:])
        if not torch.isfinite(loss):
            raise BmiError(
                f"training loss is {loss.item()} in epoch {epoch}: lower the learning rate, for example "
                f"--set learning_rate={recipe.learning_rate / 4:.2g}, or check the recording for outliers"
            )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), recipe.gradient_clip)
        optimiser.step()
        schedule.step()
        averaged.update()


def _optimiser(
    decoder: Decoder, recipe: Recipe, total: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW whose decay spares biases, decays and thresholds; its rate rises and falls over `total` steps."""
    matrices = [p for p in decoder.parameters() if p.ndim > 1]
    others = [p for p in decoder.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate)

    def factor(step: int) -> float:
        done = step / total
        if done < recipe.warm_up:
            return (step + 1) / (recipe.warm_up * total + 1)
        return 0.5 * (1 + math.cos(math.pi * (done - recipe.warm_up) / (1 - recipe.warm_up)))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


@torch.no_grad()
def _predict(decoder: Decoder, x: Tensor) -> Tensor:
    was_training = decoder.training
    decoder.eval()
    y = decoder(x[None])[0]
    decoder.train(was_training)
    return y


class _Averaged:
    """Exponential moving average of a decoder's weights; the decoder itself where it is off."""

    def __init__(self, decoder: Decoder, decay: float) -> None:
        self._source, self._decay, self._steps = decoder, decay, 0
        self.decoder = copy.deepcopy(decoder) if decay else decoder

    @torch.no_grad()
    def update(self) -> None:
        """Take in the current weights; early on the average forgets faster, so that it starts unbiased."""
        if not self._decay:
            return
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for mean, value in zip(self.decoder.parameters(), self._source.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for mean, value in zip(self.decoder.buffers(), self._source.buffers(), strict=True):
            mean.copy_(value)
