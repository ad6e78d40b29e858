"""Current-based leaky integrate-and-fire neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.layer import State
from bmi_decoder.layers.lif import Lif, Reset, integrate

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class CubaLif(Lif):
    """`Lif` behind a synapse that decays too, as snnTorch's ``Synaptic``.

    Per bin ``i = alpha i' + x``, and i is the current of `Lif`.

    Parameters
    ----------
    n : int
    alpha, beta, threshold : float
        Initial values, learned; the decays are limited to [0, 1] in use.
    reset : {"none", "subtract", "zero"}
    per_neuron : bool

    Notes
    -----
    State: ``current`` and ``membrane``, each (B, n).
    """

    def __init__(
        self, n: int, alpha: float, beta: float, threshold: float, reset: Reset, per_neuron: bool = False
    ) -> None:
        super().__init__(n, beta, threshold, reset, per_neuron)
        self.alpha = nn.Parameter(torch.full((n,) if per_neuron else (), alpha))

    def initial_state(self, batch: int) -> State:
        """No current, membranes at rest."""
        return {"current": torch.zeros(batch, self.n), **super().initial_state(batch)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin of what arrives to one bin of spikes."""
        current = self.alpha.clamp(0, 1) * state["current"] + x
        spikes, following = super().step(current, state)
        return spikes, {"current": current, **following}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in compiled loops, forward and backward."""
        current = integrate(x, state["current"], self.alpha.clamp(0, 1))
        spikes, following = super().scan(current, state)
        return spikes, {"current": current[:, -1], **following}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """A leaky integrator, then the neurons."""
        current = builder.state("cuba.current", np.zeros(self.n))
        alpha = self.alpha.detach().clamp(0, 1).numpy()
        return super().lower(builder, builder.leaky_integrator(x, current, alpha))
