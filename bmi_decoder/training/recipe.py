"""Settings of the training loop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from bmi_decoder.config import Settings
from bmi_decoder.errors import InputError

_FEWEST_PASSES = 4
_LONGEST_WINDOW = 250


class Recipe(Settings):
    """How a decoder is trained; every field can be set with ``train --set``."""

    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0, description="Decoupled, as in AdamW; of matrices only.")
    updates: int = Field(
        1300, ge=1, description="Optimiser steps: as many passes over the training part as they need, at least 4."
    )
    epochs: int | None = Field(None, ge=1, description="Passes over the training part, instead of `updates`.")
    warm_up: float = Field(
        0.05, ge=0, lt=1, description="Share of all steps in which the learning rate rises, before its schedule."
    )
    schedule: Literal["cosine", "plateau"] = Field(
        "cosine", description="The learning rate falls along a cosine, or in steps where validation R2 no longer rises."
    )
    plateau_patience: int = Field(4, ge=0, description="Epochs without a better validation R2 before a step down.")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="What a step down multiplies the learning rate by.")
    lanes: int = Field(8, ge=1, description="Contiguous stretches of the stream that are trained side by side.")
    window_s: float = Field(
        2.5, gt=0, description="Seconds of truncated backpropagation; state is carried between windows."
    )
    unit_dropout: float = Field(0.0, ge=0, lt=1, description="Probability that a channel is silent in a window.")
    poisson_resampling: float = Field(
        0.0, ge=0, le=1, description="Probability that a count is drawn anew from Poisson(count)."
    )
    gradient_clip: float = Field(1.0, gt=0, description="Largest gradient norm.")
    averaging: float = Field(0.99, ge=0, lt=1, description="Decay per step of the averaged weights; 0 is off.")
    position_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of an auxiliary loss: a second readout, for training only, learns the leaky integral of "
        "each output, which of a velocity is the position. 0 is off.",
    )
    position_tau_s: float = Field(5.0, gt=0, description="Time constant of that integral's leak.")
    labelled: float = Field(
        1.0, gt=0, le=1, description="Share of the training part, its last, whose kinematics are learned."
    )
    masked_updates: int = Field(
        0,
        ge=0,
        description="Optimiser steps of self-supervised pretraining on the counts of the whole training part: some are "
        "hidden, and their rates are learned from the others. 0 is off.",
    )
    mask_fraction: float = Field(0.3, gt=0, lt=1, description="Of the patches that are hidden in it.")
    mask_groups: int = Field(8, ge=1, description="Groups of adjoining channels; a patch is one of them for a time.")
    mask_s: float = Field(0.1, gt=0, description="Seconds that a patch lasts.")
    weight_bits: Literal[4, 8, 32] = Field(
        32, description="Of the weights in the bundle; 8 and 4 round them when training is done, see quantised weights."
    )
    patience: int | None = Field(None, ge=1, description="Stop after so many epochs without a better validation R2.")

    def window(self, bin_s: float) -> int:
        """Bins per window: limited, because memory and the time of one update grow with it."""
        return max(1, min(_LONGEST_WINDOW, round(self.window_s / bin_s)))

    def passes(self, updates_per_pass: int) -> int:
        """Passes over a training part that takes so many updates each."""
        if self.epochs is not None:
            return self.epochs
        return max(_FEWEST_PASSES, math.ceil(self.updates / updates_per_pass))


def recipe_with(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """A recipe with other values in some fields; raises InputError for a value or field that it cannot have."""
    try:
        return Recipe(**{**recipe.model_dump(), **overrides})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"training setting {first['loc'][0]} is {first['input']!r}: {first['msg']}") from None
