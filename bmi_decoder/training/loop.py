"""Epochs of stateful truncated backpropagation through the whole stream, which can be left and gone on with."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.errors import BmiError
from bmi_decoder.layers.layer import State
from bmi_decoder.training.augmentation import Augmentation
from bmi_decoder.training.auxiliary import Objectives
from bmi_decoder.training.averaging import Averaged
from bmi_decoder.training.checkpoint import Checkpoint
from bmi_decoder.training.device import on_device
from bmi_decoder.training.lanes import lanes, n_windows
from bmi_decoder.training.recipe import Recipe
from bmi_decoder.training.schedule import Schedule, make_optimiser

Progress = Callable[[int, int, float], None]
"""Called after each epoch with its number, the number of epochs, and the validation R2."""

_SETTLING_BINS = 20


@dataclass(frozen=True)
class Stretch:
    """Decoder input x (T, C) and targets y (T, K) on the same bins, both float32."""

    x: Tensor
    y: Tensor

    def last(self, share: float) -> Stretch:
        """The last `share` of the bins, at least one."""
        start = min(len(self.x) - 1, round(len(self.x) * (1 - share)))
        return Stretch(self.x[start:], self.y[start:])

    def standardised(self) -> tuple[Stretch, Tensor, Tensor]:
        """With targets of mean 0 and deviation 1, and the scale and shift (K,) that lead back."""
        scale, shift = torch.std_mean(self.y, 0)
        scale = scale.clamp(min=1e-12)
        return Stretch(self.x, (self.y - shift) / scale), scale, shift


@dataclass(frozen=True)
class FitReport:
    """What the loop did."""

    epochs: int
    best_epoch: int
    validation_r2: float
    seconds: float


class Loop:
    """Everything that changes from epoch to epoch.

    Parameters
    ----------
    objectives : Objectives
    sessions : sequence of Stretch
        With standardised targets. Each update takes a window of lanes from all of them.
    enter : callable, optional
        Makes the decoder ready for session i.
    """

    def __init__(
        self,
        decoder: Decoder,
        objectives: Objectives,
        sessions: Sequence[Stretch],
        recipe: Recipe,
        window: int,
        seed: int,
        are_counts: bool,
        device: torch.device,
        enter: Callable[[Decoder, int], None] | None = None,
    ) -> None:
        self.device = device
        self._decoder, self._objectives, self._recipe, self._enter = decoder, objectives, recipe, enter
        self._learner = nn.ModuleList([decoder, objectives]).to(device)
        self._sessions = [Stretch(session.x, objectives.with_targets(session.y)) for session in sessions]
        self._generator = torch.Generator().manual_seed(seed)
        self._augment = Augmentation(recipe, are_counts, self._generator)
        self._window = window
        total = sum(len(session.x) for session in sessions)
        self._lanes = [max(1, round(recipe.lanes * len(session.x) / total)) for session in sessions]
        windows = max(n_windows(len(s.x), n, window) for s, n in zip(sessions, self._lanes, strict=True))
        self.epochs = recipe.passes(windows)
        self._optimiser = make_optimiser(self._learner, recipe)
        self._schedule = Schedule(self._optimiser, recipe, self.epochs * windows)
        self.averaged = Averaged(decoder, recipe.averaging)
        self.epoch, self.best, self.best_epoch, self.seconds = 0, -math.inf, 0, 0.0
        self.weights = copy.deepcopy(decoder.state_dict())

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or validation R2 has not risen for long enough."""
        patience = self._recipe.patience
        return self.epoch >= self.epochs or (patience is not None and self.epoch - self.best_epoch >= patience)

    def judge(self, score: float) -> None:
        """Take in the validation R2 of the epoch that has just been trained, which counts as done now."""
        self.epoch += 1
        self._schedule.judge(score)
        if score > self.best:
            self.best, self.best_epoch = score, self.epoch
            self.weights = copy.deepcopy(self.averaged.decoder.state_dict())

    def run(
        self,
        score: Callable[[Decoder], float],
        progress: Progress | None,
        checkpoint: Checkpoint | None,
        keep_end: bool = False,
    ) -> FitReport:
        """Go on to the end, and leave the decoder on the CPU with the weights of the best epoch.

        Parameters
        ----------
        score : callable
            A decoder's validation R2.
        progress : callable, optional
        checkpoint : Checkpoint, optional
            Gone on from if it holds anything.
        keep_end : bool
            Whether the checkpoint holds the end too, so that another training of the same run does not begin anew.
        """
        started = time.perf_counter()
        saved = None if checkpoint is None else checkpoint.load()
        if saved is not None:
            self.load_state(saved)
        before = self.seconds
        while not self.finished:
            self.train_epoch()
            reached = score(self.averaged.decoder)
            self.judge(reached)
            self.seconds = before + time.perf_counter() - started
            if checkpoint is not None and checkpoint.is_due() and not self.finished:
                checkpoint.save(self.state())
            if progress is not None:
                progress(self.epoch, self.epochs, reached)
        if keep_end and checkpoint is not None:
            checkpoint.save(self.state())
        self._decoder.to("cpu")
        self._decoder.load_state_dict(self.weights)
        return FitReport(self.epoch, self.best_epoch, float(self.best), self.seconds)

    def train_epoch(self) -> None:
        """One pass over the training part: each update on one window of all sessions that have not ended."""
        self._learner.train()
        states: list[State | None] = [None] * len(self._sessions)
        streams = [
            lanes(session.x, session.y, n, self._window, self._generator)
            for session, n in zip(self._sessions, self._lanes, strict=True)
        ]
        for windows in zip_longest(*streams):
            bins = [0 if window is None else window[0].shape[0] * window[0].shape[1] for window in windows]
            for i, window in enumerate(windows):
                if window is not None:
                    if self._enter is not None:
                        self._enter(self._decoder, i)
                    states[i] = self._learn(window[0], window[1], states[i], bins[i] / sum(bins))
            self._update()

    def _learn(self, inputs: Tensor, targets: Tensor, state: State | None, weight: float) -> State:
        """Add the gradient of one window (B, T, ...), and give the state behind it; None begins lanes."""
        settling = 0
        if state is None:
            # The lanes begin in mid-stream, where a state of rest is wrong: the first bins only fill it.
            state, settling = self._decoder.initial_state(inputs.shape[0]), min(_SETTLING_BINS, self._window // 2)
        varied = self._augment(inputs).to(self.device)
        estimate, state = self._objectives.scan(self._decoder, varied, on_device(self.device, state))
        loss = self._objectives.loss(estimate, inputs.to(self.device), targets.to(self.device), settling)
        if not torch.isfinite(loss):
            raise BmiError(
                f"training loss is {loss.item()} in epoch {self.epoch + 1}: lower the learning rate, for example "
                f"--set learning_rate={self._recipe.learning_rate / 4:.2g}, or check the recording for outliers"
            )
        (weight * loss).backward()
        return {name: value.detach() for name, value in state.items()}

    def _update(self) -> None:
        """One step along the gradient that has been added up."""
        torch.nn.utils.clip_grad_norm_(self._learner.parameters(), self._recipe.gradient_clip)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._schedule.step()
        self.averaged.update()

    def state(self) -> dict[str, Any]:
        """All of it as tensors and plain values, random generators included."""
        on_gpu = self.device.type == "cuda"
        return {
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "decoder": self._decoder.state_dict(),
            "objectives": self._objectives.state_dict(),
            "averaged": self.averaged.decoder.state_dict(),
            "averaged_steps": self.averaged.steps,
            "weights": self.weights,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state(),
            "generator": self._generator.get_state(),
            "torch_generator": torch.get_rng_state(),
            "cuda_generator": torch.cuda.get_rng_state(self.device) if on_gpu else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.epoch, self.best, self.best_epoch = state["epoch"], state["best"], state["best_epoch"]
        self.seconds = state["seconds"]
        self._decoder.load_state_dict(state["decoder"])
        self._objectives.load_state_dict(state["objectives"])
        self.averaged.decoder.load_state_dict(state["averaged"])
        self.averaged.steps = state["averaged_steps"]
        self.weights = state["weights"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state(state["schedule"])
        self._generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_generator"])
        if self.device.type == "cuda" and state["cuda_generator"] is not None:
            torch.cuda.set_rng_state(state["cuda_generator"], self.device)
