"""Recurrent spiking neurons with synaptic currents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.exact_sums import Term, make_sums_exact
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.learned_decay import LearnedDecay
from bmi_decoder.layers.surrogate import SuperSpike
from bmi_decoder.layers.synapses import Product, Synapses
from bmi_decoder.layers.synaptic_trace import SynapticTrace
from bmi_decoder.machine.kernels.synaptic import DELAYED, DIRECT

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

SUPERSPIKE_SLOPE = 20.0
_SIGMA, _FEED_FORWARD_SHARE = 0.5, 0.9


class RecurrentSynapticLif(Layer):
    """Recurrent spiking neurons: synaptic current, membrane, multiplicative reset.

    Per bin, with all of the right-hand sides from the bin before and x the bin that has just closed
    (``delayed``, as published)::

        S = H(U' - 1)
        I = ds I' + W x + R S'
        U = (dm U' + (1 - dm) I') (1 - S)               output: S'

    or with the new current and the new spikes at once (otherwise)::

        I = ds I' + W x + R S'
        U = (dm U' + (1 - dm) I) (1 - S')
        S = H(U - 1)                                    output: S

    which saves two bins of delay. The surrogate of H is SuperSpike's, ``1 / (1 + slope |u|)^2``; no gradient
    flows through the reset, nor from a window into the one before.

    Parameters
    ----------
    n_in, n : int
    tau_membrane, tau_synapse : float
        In bins, before the learned factor of each neuron, which starts at softplus(1) = 1.31.
    input_rate : float
        Events per input and bin that the initial weights are made for.
    delayed : bool
    bias : bool
        A constant current, learned.
    slope : float
        Of the surrogate.

    Notes
    -----
    State: ``spikes``, ``membrane`` and ``current``, each (B, n). The initial weights give membranes a standard
    deviation of 0.5, nine tenths of their variance from the input: Rossbroich, Gygax & Zenke 2022, Neuromorph.
    Comput. Eng. 2 044016. Zenke & Ganguli 2018, Neural Comput. 30 1514 for the surrogate.
    """

    def __init__(
        self,
        n_in: int,
        n: int,
        tau_membrane: float,
        tau_synapse: float,
        input_rate: float,
        delayed: bool,
        bias: bool = False,
        slope: float = SUPERSPIKE_SLOPE,
    ) -> None:
        super().__init__()
        if not input_rate > 0:
            raise ValueError(f"the input rate must be above 0 events per bin, got {input_rate}")
        self.n, self.slope, self.order = n, slope, DELAYED if delayed else DIRECT
        self.membrane_decay, self.synapse_decay = (
            LearnedDecay(torch.full((n,), float(t))) for t in (tau_membrane, tau_synapse)
        )
        self.inputs = Dense(n_in, n, bias)
        self.recurrent = nn.Linear(n, n, bias=False)
        self._initialise(n_in, input_rate)

    @torch.no_grad()
    def _initialise(self, n_in: int, input_rate: float) -> None:
        dm, ds = float(self.membrane_decay.value[0]), float(self.synapse_decay.value[0])
        current, membrane, power = 1.0, 0.0, 0.0
        for _ in range(1000):  # response of a membrane to one event through a weight of 1
            membrane = dm * membrane + (1 - dm) * current
            current *= ds
            power += membrane**2
        for weight, share, n in (
            (self.inputs.linear.weight, _FEED_FORWARD_SHARE, n_in),
            (self.recurrent.weight, 1 - _FEED_FORWARD_SHARE, self.n),
        ):
            nn.init.normal_(weight, std=_SIGMA * (share / (n * input_rate * power)) ** 0.5)
        if self.inputs.linear._parameters["bias"] is not None:
            self.inputs.linear.bias.zero_()

    def initial_state(self, batch: int) -> State:
        """At rest."""
        return {name: torch.zeros(batch, self.n) for name in ("spikes", "membrane", "current")}

    def _decays(self) -> tuple[Tensor, Tensor, Tensor]:
        dm = self.membrane_decay()
        return self.synapse_decay(), dm, 1 - dm

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        ds, dm, gain = self._decays()
        fired, u, i = state["spikes"], state["membrane"], state["current"]
        drive = self.inputs.step(x, {})[0] + self.recurrent(fired)
        after = ds * i + drive
        if self.order == DELAYED:
            spikes = SuperSpike.apply(u - 1, self.slope) if torch.is_grad_enabled() else (u > 1).to(u.dtype)
            membrane = (dm * u + gain * i) * (1 - spikes.detach())
            return fired, {"spikes": spikes, "membrane": membrane, "current": after}
        membrane = (dm * u + gain * after) * (1 - fired.detach())
        spikes = SuperSpike.apply(membrane - 1, self.slope) if torch.is_grad_enabled() else (membrane > 1).to(u.dtype)
        return spikes, {"spikes": spikes, "membrane": membrane, "current": after}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in compiled loops. The state that is returned carries no gradient."""
        drive = self.inputs.scan(x, {})[0]
        decays = torch.stack(self._decays())
        before = (state["spikes"], state["membrane"], state["current"])
        # The loops run on the CPU; what comes from a GPU goes back there, and its gradient too.
        here = (value.cpu() for value in (drive, self.recurrent.weight, decays, *before))
        scanned = SynapticTrace.apply(*here, self.order, self.slope)
        spikes, membrane, current = (value.to(x.device) for value in scanned)
        output = spikes[:, :-1] if self.order == DELAYED else spikes[:, 1:]
        last = {"spikes": spikes, "membrane": membrane, "current": current}
        return output, {name: value[:, -1].detach() for name, value in last.items()}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Two products into one drive, then the neurons."""
        spikes, membrane, current = (builder.state(f"rsnn.{name}", np.zeros(self.n)) for name in self.initial_state(1))
        drive = self.inputs.lower(builder, x)
        builder.linear(spikes, self.recurrent.weight.detach().numpy(), onto=drive)
        before = builder.copy(spikes) if self.order == DELAYED else spikes
        decays = torch.stack(self._decays()).detach().numpy()
        builder.synaptic_lif(drive, spikes, membrane, current, decays, self.order)
        return before

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Make the drive an exact sum, so that spikes are the same everywhere."""
        linear = self.inputs.linear
        terms = [Term(linear.weight, x_bound, x_step), Term(self.recurrent.weight, 1.0, 1.0)]
        make_sums_exact(terms, linear._parameters["bias"])
        return 1.0, 1.0

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """The recurrent matrix; the other is the input layer's."""
        fired = y if self.order == DELAYED else torch.cat([state["spikes"][:, None], y[:, :-1]], 1)
        return [Synapses((Product(self.recurrent.weight, fired),))]

    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """The spikes."""
        return y
