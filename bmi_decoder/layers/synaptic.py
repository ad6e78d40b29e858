"""Recurrent spiking neurons with synaptic currents, and their readout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.exact_sums import Term, make_sums_exact
from bmi_decoder.layers.kept import Kept
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.synapses import Product, Synapses
from bmi_decoder.layers.synaptic_scan import backward_scan, forward_scan
from bmi_decoder.machine.kernels.synaptic import DELAYED, DIRECT

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

SUPERSPIKE_SLOPE = 20.0
_SIGMA, _FEED_FORWARD_SHARE = 0.5, 0.9


class Decay(Kept):
    """Learned decays per bin, ``exp(-1 / (tau softplus(p)))`` with tau in bins and p from 1 on."""

    def __init__(self, tau: Tensor) -> None:
        super().__init__()
        if not bool((tau > 0).all()):
            raise ValueError(f"time constants must be above 0 bins, got {tau.min()}")
        self.register_buffer("tau", tau.clone(), persistent=False)
        self.p = nn.Parameter(torch.ones_like(tau))
        self.keep()

    def compute(self) -> Tensor:
        """The decays."""
        return torch.exp(-1 / (self.get_buffer("tau") * nn.functional.softplus(self.p)))


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
            Decay(torch.full((n,), float(t))) for t in (tau_membrane, tau_synapse)
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
            spikes = _Spike.apply(u - 1, self.slope) if torch.is_grad_enabled() else (u > 1).to(u.dtype)
            membrane = (dm * u + gain * i) * (1 - spikes.detach())
            return fired, {"spikes": spikes, "membrane": membrane, "current": after}
        membrane = (dm * u + gain * after) * (1 - fired.detach())
        spikes = _Spike.apply(membrane - 1, self.slope) if torch.is_grad_enabled() else (membrane > 1).to(u.dtype)
        return spikes, {"spikes": spikes, "membrane": membrane, "current": after}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in compiled loops. The state that is returned carries no gradient."""
        drive = self.inputs.scan(x, {})[0]
        decays = torch.stack(self._decays())
        before = (state["spikes"], state["membrane"], state["current"])
        # The loops run on the CPU; what comes from a GPU goes back there, and its gradient too.
        here = (value.cpu() for value in (drive, self.recurrent.weight, decays, *before))
        scanned = _SynapticScan.apply(*here, self.order, self.slope)
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
        self.synapse_decay, self.membrane_decay = Decay(tau[:, 0]), Decay(tau[:, 1])
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


class _Spike(torch.autograd.Function):
    """Heaviside forward, SuperSpike backward."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(u)
        ctx.slope = slope
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return grads[0] / (1 + ctx.slope * u.abs()) ** 2, None


class _SynapticScan(torch.autograd.Function):
    """Spikes, membranes and currents (B, T + 1, N), the first row being the state before."""

    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        recurrent: Tensor,
        decays: Tensor,
        spikes: Tensor,
        membrane: Tensor,
        current: Tensor,
        order: int,
        slope: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        n_batch, n_time, n = drive.shape
        rows = (
            torch.empty(n_batch, n_time + 1, n),
            torch.empty(n_batch, n_time + 1, n),
            torch.empty(n_batch, n_time + 1, n),
        )
        for whole, first in zip(rows, (spikes, membrane, current), strict=True):
            whole[:, 0] = first
        forward_scan(_array(drive), _array(recurrent.T), _array(decays), order, *(whole.numpy() for whole in rows))
        ctx.order, ctx.slope = order, slope
        ctx.save_for_backward(recurrent, decays, *rows)
        return rows

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        recurrent, decays, spikes, membrane, current = ctx.saved_tensors
        n_batch, rows, n = spikes.shape
        d_drive, d_decays = torch.empty(n_batch, rows - 1, n), torch.zeros(3, n)
        backward_scan(
            _array(grads[0]),
            _array(recurrent),
            _array(decays),
            ctx.order,
            np.float32(ctx.slope),
            spikes.numpy(),
            membrane.numpy(),
            current.numpy(),
            d_drive.numpy(),
            d_decays.numpy(),
        )
        d_recurrent = d_drive.flatten(0, 1).T @ spikes[:, :-1].flatten(0, 1)
        return d_drive, d_recurrent, d_decays, None, None, None, None, None


def _array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return tensor.detach().contiguous().numpy()
