"""Variations of the training input that keep its meaning."""

from __future__ import annotations

import torch
from torch import Tensor

from bmi_decoder.training.recipe import Recipe


class Augmentation:
    """Random changes to a window of channels x (B, T, C).

    Parameters
    ----------
    recipe : Recipe
    are_counts : bool
        Whether channels are spike counts; filtered channels cannot be drawn anew.
    generator : torch.Generator
    """

    def __init__(self, recipe: Recipe, are_counts: bool, generator: torch.Generator) -> None:
        self._recipe, self._generator = recipe, generator
        self._resample = recipe.poisson_resampling if are_counts else 0.0

    def __call__(self, x: Tensor) -> Tensor:
        """A changed copy."""
        recipe, generator = self._recipe, self._generator
        if self._resample:
            anew = torch.rand(x.shape, generator=generator) < self._resample
            x = torch.where(anew, torch.poisson(x, generator=generator), x)
        if recipe.unit_dropout:
            kept = torch.rand((x.shape[0], 1, x.shape[2]), generator=generator) >= recipe.unit_dropout
            x = x * kept / (1 - recipe.unit_dropout)
        return x
