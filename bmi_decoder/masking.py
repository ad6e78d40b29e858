"""Masked channels: what a decoder gets in place of a channel that is not to be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bmi_decoder.bundle import Bundle
from bmi_decoder.errors import InputError
from bmi_decoder.machine.builder import Builder, Slot
from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.machine.kernels.move import INPUT
from bmi_decoder.machine.kernels.scale import BINARISE
from bmi_decoder.machine.program import Program

_MOSTLY_ACTIVE = math.log(2)
"""Mean count from which a Poisson channel has spikes in more than half of its bins."""


def check_masked(masked: Sequence[int], n_channels: int) -> None:
    """Refuse a mask that does not fit a decoder of so many channels.

    Raises
    ------
    InputError
        Naming the channel that is not there, or saying that none is left.
    """
    absent = [channel for channel in masked if not 0 <= channel < n_channels]
    if absent:
        raise InputError(
            f"channel {absent[0]} cannot be masked: the decoder has {n_channels} channels, 0 to {n_channels - 1}"
        )
    if len(masked) >= n_channels:
        raise InputError(f"all {n_channels} channels are masked, and nothing is left to decode; leave one at least")


def neutral_counts(bundle: Bundle) -> npt.NDArray[np.float32]:
    """Count per bin (C,) that says least about the movement, for each channel.

    That is its mean count in the data that the decoder was trained on. A decoder that takes channels as active or not
    would take any mean as active in every bin, so it gets 0 or 1, whichever is more frequent if spikes are Poisson. Of
    a bundle without means all are 0.
    """
    means = bundle.manifest.training.channel_means
    if means is None:
        return np.zeros(bundle.manifest.n_channels, np.float32)
    counts = np.array(means)
    if bundle.program is not None and _binarises(bundle.program):
        counts = np.where(counts > _MOSTLY_ACTIVE, 1.0, 0.0)
    return counts.astype(np.float32)


def masked_input(builder: Builder, bundle: Bundle, masked: Sequence[int]) -> Slot:
    """The input row with constants in place of masked channels, of which nothing is read.

    Raises
    ------
    InputError
        If the mask does not fit the decoder.
    """
    if not masked:
        return builder.input()
    n_channels = bundle.manifest.n_channels
    check_masked(masked, n_channels)
    x = builder.constant(neutral_counts(bundle))
    for before, following in pairwise((-1, *sorted(masked), n_channels)):
        if before + 1 < following:
            builder.input_onto(x.window(before + 1, following - before - 1), before + 1)
    return x


def _binarises(program: Program) -> bool:
    """Whether a program asks of a channel only if it is active."""
    rows = [(INSTRUCTIONS[row[0]], INSTRUCTIONS[row[0]].decode(row)) for row in program.instructions.tolist()]
    channels = [range(named["dst"], named["dst"] + named["n"]) for known, named in rows if known is INPUT]
    return any(known is BINARISE and any(named["src"] in one for one in channels) for known, named in rows)
