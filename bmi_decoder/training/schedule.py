"""The optimiser, and how its learning rate changes."""

from __future__ import annotations

import math
from typing import Any

import torch

from bmi_decoder.training.recipe import Recipe


def make_optimiser(module: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW whose decay spares biases, decays and thresholds."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


class Schedule:
    """Sets an optimiser's learning rate: it rises over the warm-up; then a cosine, or steps down at plateaus.

    Parameters
    ----------
    optimiser : torch.optim.Optimizer
    recipe : Recipe
    total : int
        Updates of the whole training.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, recipe: Recipe, total: int) -> None:
        self._optimiser, self._recipe, self._total = optimiser, recipe, total
        self._steps, self._reduction = 0, 1.0
        self._best, self._waited = -math.inf, 0
        self._apply()

    def step(self) -> None:
        """After each update."""
        self._steps += 1
        self._apply()

    def judge(self, score: float) -> None:
        """After each epoch, with the validation R2: where it no longer rises, the plateau schedule slows down."""
        if self._recipe.schedule != "plateau":
            return
        if score > self._best:
            self._best, self._waited = score, 0
            return
        self._waited += 1
        if self._waited > self._recipe.plateau_patience:
            self._reduction *= self._recipe.plateau_factor
            self._waited = 0
            self._apply()

    def state(self) -> dict[str, Any]:
        """Plain numbers, to go on from here."""
        return {"steps": self._steps, "reduction": self._reduction, "best": self._best, "waited": self._waited}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self._steps, self._reduction = state["steps"], state["reduction"]
        self._best, self._waited = state["best"], state["waited"]
        self._apply()

    def _apply(self) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self._recipe.learning_rate * self._factor()

    def _factor(self) -> float:
        done, warm_up = self._steps / self._total, self._recipe.warm_up
        if done < warm_up:
            return (self._steps + 1) / (warm_up * self._total + 1)
        if self._recipe.schedule == "plateau":
            return self._reduction
        return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))
