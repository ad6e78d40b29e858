"""Resonate-and-fire neurons without reset: a diagonal complex state space in front of a threshold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.complex_scan import complex_scan
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.exact_sums import Term, make_sums_exact
from bmi_decoder.layers.hippo import hippo_poles
from bmi_decoder.layers.kept import Kept
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.surrogate import multi_gaussian_spike
from bmi_decoder.layers.synapses import Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class Resonators(Kept):
    """Learned poles and gains: rows ``Re a``, ``Im a`` and eta of n neurons.

    ``a = exp(eta (-exp(r) + i w))``. r and w start at HiPPO's poles (`hippo_poles`), eta log-uniform between two
    limits.

    Parameters
    ----------
    n, blocks : int
    eta : (float, float)
        Limits, in bins. The time constant of a neuron starts at ``2 / eta`` bins.
    """

    def __init__(self, n: int, blocks: int, eta: tuple[float, float]) -> None:
        super().__init__()
        low, high = eta
        if not 0 < low <= high:
            raise ValueError(f"the limits of eta must be above 0 and rising, got {low} and {high}")
        poles = hippo_poles(n, blocks)
        self.log_rate = nn.Parameter(torch.from_numpy(np.log(-poles.real)).float())
        self.frequency = nn.Parameter(torch.from_numpy(poles.imag).float())
        self.log_eta = nn.Parameter(torch.empty(n).uniform_(math.log(low), math.log(high)))
        self.keep()

    def compute(self) -> Tensor:
        """Poles and gains."""
        eta = self.log_eta.exp()
        size, angle = torch.exp(-eta * self.log_rate.exp()), eta * self.frequency
        return torch.stack([size * torch.cos(angle), size * torch.sin(angle), eta])


class ResonateFire(Layer):
    """Complex dense layer and resonate-and-fire neurons.

    Per bin and neuron, with a complex matrix W and a learned pole a, `Resonators`::

        z = a z' + eta (W x + c)
        s = H(Re z - 1)                     output: s, or x + s with `skip`

    Nothing is reset, so the states of all bins follow from all inputs in one linear scan, and the thresholds come
    afterwards: training is parallel in time.

    Parameters
    ----------
    n_in, n, blocks : int
        Inputs, neurons, and HiPPO matrices that give the initial poles.
    eta : (float, float)
        Limits of the initial time steps, see `Resonators`.
    bias : bool
        A constant complex current c, learned.
    skip : bool
        Add the input to the spikes. Needs ``n_in == n``.
    dropout : float
        Of the currents, real and imaginary parts apart, while training.
    fluctuation : float, optional
        Standard deviation that the initial weights give to Re z, for independent inputs of variance `input_variance`.
        With a `bias` the initial means of Re z then lie anywhere between -1 and 1, so that the thresholds cut at
        different heights. None gives each part of a weight the variance 1 / n_in (published) and no bias.
    input_variance : float
        Of one input, for `fluctuation`.

    Notes
    -----
    State: ``re`` and ``im``, each (B, n). Huber, Lecomte, Polovnikov & von Arnim 2024, ECCV Workshops (S5-RF), with
    the discretisation for spikes as input; Izhikevich 2001, Neural Netw. 14 883 for the neuron.
    """

    def __init__(
        self,
        n_in: int,
        n: int,
        blocks: int,
        eta: tuple[float, float],
        bias: bool = False,
        skip: bool = False,
        dropout: float = 0.0,
        fluctuation: float | None = None,
        input_variance: float = 1.0,
    ) -> None:
        super().__init__()
        if skip and n_in != n:
            raise ValueError(f"a skip connection needs as many inputs as neurons, got {n_in} and {n}")
        if fluctuation is not None and not fluctuation > 0:
            raise ValueError(f"fluctuation must be above 0, got {fluctuation}")
        self.n, self.skip = n, skip
        self.resonators = Resonators(n, blocks, eta)
        self.inputs = Dense(n_in, 2 * n, bias)
        self.dropout = nn.Dropout(dropout)
        # HiPPO's eigenvectors would be multiplied with these, but they are unitary: the distribution stays.
        nn.init.normal_(self.inputs.linear.weight, std=n_in**-0.5)
        if bias:
            nn.init.zeros_(self.inputs.linear.bias)
        if fluctuation is not None:
            self._fluctuate(fluctuation, input_variance)

    @torch.no_grad()
    def _fluctuate(self, deviation: float, input_variance: float) -> None:
        a_re, a_im, eta = self.resonators.compute().unbind()
        # The powers of a pole add up to 1 / (1 - |a|^2), half of it in each part.
        gain = deviation * ((1 - a_re**2 - a_im**2) / input_variance).sqrt() / eta
        self.inputs.linear.weight.mul_(gain.repeat(2)[:, None])
        if self.inputs.linear._parameters["bias"] is not None:
            mean = torch.empty_like(eta).uniform_(-1, 1)  # of a state z at rest, held by the current (1 - a) z / eta
            self.inputs.linear.bias.copy_(torch.cat([mean * (1 - a_re), -mean * a_im]) / eta.repeat(2))

    def initial_state(self, batch: int) -> State:
        """At rest."""
        return {name: torch.zeros(batch, self.n) for name in ("re", "im")}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        a_re, a_im, eta = self.resonators().unbind()
        d_re, d_im = self.dropout(self.inputs.step(x, {})[0]).chunk(2, -1)
        re = a_re * state["re"] - a_im * state["im"] + eta * d_re
        im = a_re * state["im"] + a_im * state["re"] + eta * d_im
        return self._output(x, re), {"re": re, "im": im}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins at once: product, linear scan, thresholds."""
        a_re, a_im, eta = self.resonators().unbind()
        drive = self.dropout(self.inputs.scan(x, {})[0]) * torch.cat([eta, eta])
        z = complex_scan(drive, torch.cat([state["re"], state["im"]], -1), torch.cat([a_re, a_im]))
        last = z[:, -1]
        return self._output(x, z[..., : self.n]), {"re": last[:, : self.n], "im": last[:, self.n :]}

    def _output(self, x: Tensor, re: Tensor) -> Tensor:
        spikes = multi_gaussian_spike(re - 1)
        return x + spikes if self.skip else spikes

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One product for both parts, then the neurons."""
        state = builder.state("resonators", np.zeros(2 * self.n))
        drive = self.inputs.lower(builder, x)
        spikes = builder.resonate_fire(drive, state, self.resonators().detach().numpy())
        return builder.add(x, spikes) if self.skip else spikes

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Make the currents exact sums, so that spikes are the same everywhere."""
        linear = self.inputs.linear
        make_sums_exact([Term(linear.weight, x_bound, x_step)], linear._parameters["bias"])
        return (x_bound + 1, min(x_step, 1.0)) if self.skip else (1.0, 1.0)

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """None: poles and gains are no matrix, and the complex matrix is the dense layer's."""
        return []

    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """The spikes."""
        return y - x if self.skip else y
