"""Leaky integrate-and-fire neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.lif_trace import LifTrace
from bmi_decoder.layers.surrogate import arctangent_spike
from bmi_decoder.machine.kernels.spiking import RESET_NONE, RESET_SUBTRACT, RESET_ZERO

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

Reset = Literal["none", "subtract", "zero"]
_RESETS: dict[Reset, int] = {"none": RESET_NONE, "subtract": RESET_SUBTRACT, "zero": RESET_ZERO}


class Lif(Layer):
    """Spiking neurons with learned decay and threshold, as snnTorch's ``Leaky``.

    Per bin: the reset is decided by the previous membrane, the spike by the new one, both with a strict ``>``::

        r = H(m - th);  m = beta * m + I - r * th;  s = H(m - th)

    With a reset to zero ``m = beta * (1 - r) * m + I``, as in snnTorch from version 0.8 on: the current is kept.
    The surrogate of H is arctangent: ``dH/du = (a/2) / (1 + (pi/2 a u)^2)`` with a = 2; no gradient flows
    through r.

    Parameters
    ----------
    n : int
        Neurons.
    beta, threshold : float
        Initial values; beta is limited to [0, 1] in use.
    reset : {"none", "subtract", "zero"}
    per_neuron : bool
        One decay and threshold per neuron, instead of one per layer.

    Notes
    -----
    State: ``membrane`` (B, n). Eshraghian et al. 2023, Proc. IEEE 111, section IV; Zhou, Sun & Basu 2025.
    """

    def __init__(self, n: int, beta: float, threshold: float, reset: Reset, per_neuron: bool = False) -> None:
        super().__init__()
        self.n, self.reset = n, reset
        shape = (n,) if per_neuron else ()
        self.beta = nn.Parameter(torch.full(shape, beta))
        self.threshold = nn.Parameter(torch.full(shape, threshold))

    def initial_state(self, batch: int) -> State:
        """Membranes at rest."""
        return {"membrane": torch.zeros(batch, self.n)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin of currents to one bin of spikes."""
        before, threshold = state["membrane"], self.threshold
        fired = before > threshold
        if self.reset == "zero":
            before = torch.where(fired, torch.zeros_like(before), before)
        membrane = self.beta.clamp(0, 1) * before + x
        if self.reset == "subtract":
            membrane = membrane - fired.to(x.dtype) * threshold
        return arctangent_spike(membrane - threshold), {"membrane": membrane}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in compiled loops, forward and backward."""
        spikes, membrane = _scan(x, state["membrane"], self.beta.clamp(0, 1), self.threshold, _RESETS[self.reset])
        return spikes, {"membrane": membrane[:, -1]}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return self.lower_onto(builder, x, builder.state("lif.membrane", np.zeros(self.n)))

    def lower_onto(self, builder: Builder, x: Slot, membrane: Slot) -> Slot:
        """One instruction, with the membranes in a given place."""
        beta, threshold = self.beta.detach().clamp(0, 1).numpy(), self.threshold.detach().numpy()
        return builder.lif(x, membrane, beta, threshold, _RESETS[self.reset])

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Spikes are 0 or 1."""
        return 1.0, 1.0

    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """The spikes."""
        return y


class LeakyIntegrator(Layer):
    """A membrane without spikes: ``m = beta m + I`` is the output.

    Parameters
    ----------
    n : int
    beta : float or sequence of n floats
        Initial decay, of all outputs or of each; limited to [0, 1] in use.

    Notes
    -----
    State: ``membrane`` (B, n).
    """

    def __init__(self, n: int, beta: float | Sequence[float]) -> None:
        super().__init__()
        self.n = n
        self.beta = nn.Parameter(torch.tensor(beta, dtype=torch.float32))

    def initial_state(self, batch: int) -> State:
        """Membranes at rest."""
        return {"membrane": torch.zeros(batch, self.n)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        membrane = self.beta.clamp(0, 1) * state["membrane"] + x
        return membrane, {"membrane": membrane}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in compiled loops."""
        membrane = integrate(x, state["membrane"], self.beta.clamp(0, 1))
        return membrane, {"membrane": membrane[:, -1]}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return self.lower_onto(builder, x, builder.state("readout.membrane", np.zeros(self.n)))

    def lower_onto(self, builder: Builder, x: Slot, membrane: Slot) -> Slot:
        """One instruction, with the membranes in a given place."""
        return builder.leaky_integrator(x, membrane, self.beta.detach().clamp(0, 1).numpy())


class LeakyReadout(LeakyIntegrator):
    """A leaky integrator with a threshold that takes no part in the output.

    It is kept because the published model has it, learned, in its list of parameters.
    """

    def __init__(self, n: int, beta: float, threshold: float) -> None:
        super().__init__(n, beta)
        self.threshold = nn.Parameter(torch.tensor(threshold))

    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """The spikes that nobody reads: the published model's readout is a spiking neuron too."""
        return (y > self.threshold).to(y.dtype)


def _scan(current: Tensor, initial: Tensor, beta: Tensor, threshold: Tensor, reset: int) -> tuple[Tensor, Tensor]:
    """Spikes and membranes. The loops run on the CPU; what comes from a GPU goes back there, and its gradient too."""
    spikes, membrane = LifTrace.apply(current.cpu(), initial.cpu(), beta.cpu(), threshold.cpu(), reset)
    return spikes.to(current.device), membrane.to(current.device)


def integrate(x: Tensor, initial: Tensor, decay: Tensor) -> Tensor:
    """``m = decay m' + x`` over x (B, T, N) in compiled loops; `decay` is a scalar or (N,)."""
    return _scan(x, initial, decay, torch.zeros_like(decay), RESET_NONE)[1]
