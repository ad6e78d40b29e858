"""Scale and shift of an output that is a leaky membrane."""

import torch
from torch import Tensor

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.lif import LeakyReadout
from bmi_decoder.layers.normalise import OutputScale


@torch.no_grad()
def scale_leaky_output(dense: Dense, readout: LeakyReadout, factors: OutputScale, scale: Tensor, shift: Tensor) -> None:
    """Make ``y * scale + shift`` of what a dense layer, a leaky readout and its output factors say.

    The scale goes into the factors and the shift into the dense layer's bias. A leaky integrator at rest holds
    ``bias / (1 - beta)``, so the shift takes a few time constants to build up after a reset.
    """
    factors.scale.mul_(scale)
    leak = (1 - readout.beta.clamp(0, 1)).clamp(min=1e-3)
    dense.linear.bias.add_(shift * leak / factors.scale)
