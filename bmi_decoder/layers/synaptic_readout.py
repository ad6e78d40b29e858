"""Readout of spikes through synaptic currents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.learned_decay import LearnedDecay

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class SynapticReadout(Layer):
    """Leaky membranes behind synaptic currents, in several heads that are averaged.

    Per bin, with the orders of `RecurrentSynapticLif`::

        I = dso I' + Wo x
        y = dmo y' + (1 - dmo) I'          delayed;   (1 - dmo) I otherwise
        output: mean over heads of y, plus shift

    Parameters
    ----------
    n_in, n_out : int
    taus : sequence of (float, float)
        Time constants of synapse and membrane of each head, in bins.
    delayed : bool

    Notes
    -----
    State: ``current`` and ``membrane``, each (B, heads * n_out).
    """

    shift: Tensor

    def __init__(self, n_in: int, n_out: int, taus: list[tuple[float, float]], delayed: bool) -> None:
        super().__init__()
        self.n_out, self.n_heads, self.delayed = n_out, len(taus), delayed
        tau = torch.tensor(taus).repeat_interleave(n_out, 0)
        self.synapse_decay, self.membrane_decay = LearnedDecay(tau[:, 0]), LearnedDecay(tau[:, 1])
        self.inputs = Dense(n_in, n_out * self.n_heads, bias=False)
        nn.init.normal_(self.inputs.linear.weight, std=n_in**-0.5)
        self.register_buffer("shift", torch.zeros(n_out))
        self.register_buffer("share", torch.full((n_out,), 1 / self.n_heads), persistent=False)

    def initial_state(self, batch: int) -> State:
        """At rest."""
        return {name: torch.zeros(batch, self.n_out * self.n_heads) for name in ("current", "membrane")}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        dm = self.membrane_decay()
        current = self.synapse_decay() * state["current"] + self.inputs.step(x, {})[0]
        membrane = dm * state["membrane"] + (1 - dm) * (state["current"] if self.delayed else current)
        return self._mean(membrane), {"current": current, "membrane": membrane}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins, the products at once."""
        arriving = self.inputs.scan(x, {})[0]
        ds, dm = self.synapse_decay(), self.membrane_decay()
        current, membrane, membranes = state["current"], state["membrane"], []
        for t in range(x.shape[1]):
            following = ds * current + arriving[:, t]
            membrane = dm * membrane + (1 - dm) * (current if self.delayed else following)
            current = following
            membranes.append(membrane)
        return self._mean(torch.stack(membranes, 1)), {"current": current, "membrane": membrane}

    def _mean(self, membrane: Tensor) -> Tensor:
        heads = membrane.split(self.n_out, -1)
        total = heads[0]
        for head in heads[1:]:  # in this order, which is also the machine's
            total = total + head
        return total * self.get_buffer("share") + self.shift

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Become ``y * scale + shift``."""
        self.inputs.linear.weight.mul_(scale.repeat(self.n_heads)[:, None])
        self.shift.mul_(scale).add_(shift)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Product, two leaky integrators, mean."""
        size = self.n_out * self.n_heads
        ds, dm = (decay().detach() for decay in (self.synapse_decay, self.membrane_decay))
        current = builder.state("readout.current", np.zeros(size))
        membrane = builder.state("readout.membrane", np.zeros(size))
        arriving = self.inputs.lower(builder, x)
        before = builder.copy(current) if self.delayed else current
        builder.leaky_integrator(arriving, current, ds.numpy())
        y = builder.leaky_integrator(builder.affine(before, (1 - dm).numpy()), membrane, dm.numpy())
        total, *others = y.split(self.n_heads)
        for head in others:
            total = builder.add(total, head)
        return builder.affine(total, self.get_buffer("share").numpy(), self.shift.numpy())

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Make the sums of weights exact."""
        self.inputs.finalise(x_bound, x_step)
        return float("inf"), 0.0
