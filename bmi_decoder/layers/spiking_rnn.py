"""A quantised recurrent network as bipolar integrate-and-fire neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bmi_decoder.layers.bif_scan import settle_scan
from bmi_decoder.layers.layer import State
from bmi_decoder.layers.learned_step import LearnedStep
from bmi_decoder.layers.quantised_rnn import QuantisedRnn
from bmi_decoder.layers.synapses import Product, Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

_CHUNK = 256
"""Bins whose spikes are held at a time."""


class Settled(NamedTuple):
    """What neurons did in many bins: spikes (B, T, steps, n), inner steps that were taken (B, T), traces (B, T, n)."""

    spikes: Tensor
    used: Tensor
    trace: Tensor

    @property
    def rows(self) -> Tensor:
        """Spikes of the inner steps that were taken (M, n)."""
        taken = torch.arange(self.spikes.shape[2]) < self.used[..., None]
        return self.spikes[taken]


class SpikingRnn(QuantisedRnn):
    """`QuantisedRnn` out of bipolar integrate-and-fire neurons with a spike tracer, and equal to it.

    Its parameters and its training are those of `QuantisedRnn`. Outside of training each bin is a number of inner
    steps. A membrane q, in units of the threshold, starts at 1/2 and a tracer a at 0; then per inner step::

        q += current of this step
        o = +1 if q >= 1 and a < high;   -1 if q < 0 and a > low;   else 0
        a += o;   q -= o

    until no neuron fires. At the first step every neuron gets its analog current at once: W_1 x + b_1 in the first
    stage, its bias further on, and b_N + R h' in the recurrent one, h' being what its tracers settled to in the bin
    before. From then on only signed spikes o arrive, in the inner step in which they are fired.

    Where nothing fires, q lies in [0, 1) or the tracer is at its limit on that side, hence
    ``a = clip(floor(current + 1/2), low, high)`` of the summed current: the quantiser's value, whatever came in
    between. With exact sums (see `finalise`) that holds to the last bit.

    Notes
    -----
    State: ``h`` (B, n). Su et al. 2024, ICANN (arXiv 2408.09403); neuron of You et al. 2024, ICML (SpikeZIP-TF).
    """

    @property
    def bounds(self) -> list[int]:
        """Inner steps after which each stage has settled, at the latest.

        A constant current moves a tracer by one per step towards its end, so the first stage is done after the
        largest magnitude. A later stage gets its last spike no later than the one before fires it; from wherever
        the tracer is then, ``high - low`` steps lead to its end, and the first of them is that same step.
        """
        quantisers = [quantiser for _, quantiser in self.stages()]
        found = [quantisers[0].largest]
        for quantiser in quantisers[1:]:
            found.append(found[-1] + quantiser.high - quantiser.low - 1)
        return found

    def _synapses_in_steps(self) -> list[tuple[Tensor, Tensor, LearnedStep]]:
        """Weights, biases and quantisers with currents in units of the threshold and spikes of 1."""
        found, before = [], None
        for linear, quantiser in self.stages():
            step = quantiser.positive_step()
            weight = linear.weight if before is None else linear.weight * before
            found.append((weight / step, linear.bias / step, quantiser))
            before = step
        return found

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin, one inner step after the other."""
        if self.training:
            return super().step(x, state)
        stages = self._synapses_in_steps()
        size = self.last_quantiser.positive_step()
        injected = [bias.expand(x.shape[0], -1) for _, bias, _ in stages]
        injected[0] = self.first.step(x, {})[0] / stages[0][2].positive_step()
        injected[-1] = injected[-1] + self.recurrent(state["h"] / size)
        membranes = [current + 0.5 for current in injected]
        traces = [torch.zeros_like(current) for current in injected]
        for _ in range(self.bounds[-1]):
            fired: list[Tensor] = []
            for i, (weight, _, quantiser) in enumerate(stages):
                if i:
                    membranes[i] = membranes[i] + fired[-1] @ weight.T
                wanted = traces[i] + torch.floor(membranes[i]).clamp(-1, 1)
                after = wanted.clamp(quantiser.low, quantiser.high)
                fired.append(after - traces[i])
                membranes[i], traces[i] = membranes[i] - fired[-1], after
            # An exported step has no such exit, but as many steps as are ever needed: more of them change nothing.
            if not torch.onnx.is_in_onnx_export() and not any(bool(spikes.any()) for spikes in fired):
                break
        h = traces[-1] * size
        return h, {"h": h}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Many bins: the quantised network while training, else compiled inner steps."""
        if self.training:
            return super().scan(x, state)
        size = self.last_quantiser.positive_step()
        parts, h = [], state["h"]
        for current in self.first.scan(x, {})[0].split(_CHUNK, 1):
            parts.append(self._settle(current, h)[-1].trace.to(x.device) * size)
            h = parts[-1][:, -1]
        return torch.cat(parts, 1), {"h": h}

    @torch.no_grad()
    def _settle(self, current: Tensor, h: Tensor) -> list[Settled]:
        """What every stage does with the first stage's current (B, T, n). On the CPU."""
        stages, bounds = self._synapses_in_steps(), self.bounds
        n_batch, n_bins = current.shape[:2]
        injected = current / stages[0][2].positive_step()
        arriving, arrived, weight = torch.zeros(n_batch, n_bins, 0), torch.zeros(n_batch, n_bins), torch.zeros(0)
        found: list[Settled] = []
        for i, ((matrix, bias, quantiser), steps) in enumerate(zip(stages, bounds, strict=True)):
            last = i == len(stages) - 1
            if i:
                injected, weight = bias.expand(n_batch, n_bins, -1), matrix.T
            n = injected.shape[2]
            spikes, trace = torch.empty(n_batch, n_bins, steps * n), torch.empty(n_batch, n_bins, n)
            used = torch.zeros(n_batch, n_bins, dtype=torch.int64)
            settle_scan(
                _array(injected).copy(),
                _array(self.recurrent.weight.T if last else torch.zeros(0, 0)),
                _array(h / quantiser.positive_step() if last else torch.zeros(n_batch, n)),
                _array(arriving),
                arrived.to(torch.int64).numpy(),
                _array(weight).ravel(),
                quantiser.low,
                quantiser.high,
                spikes.numpy(),
                used.numpy(),
                trace.numpy(),
            )
            arriving, arrived = spikes, used
            found.append(Settled(spikes.unflatten(2, (steps, n)), used, trace))
        return found

    def _settled(self, x: Tensor, state: State) -> list[Settled]:
        return self._settle(self.first.linear(x), state["h"])

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction per stage, which holds its inner steps; currents by linear instructions."""
        (weight, bias, quantiser), *others = self._synapses_in_steps()
        first, *bounds = self.bounds
        current = builder.linear(x, weight.detach().numpy(), bias.detach().numpy())
        train, trace = builder.bif(current, first, quantiser.low, quantiser.high)
        h = builder.state("bif.h", np.zeros(self.n))
        for steps, (weight, bias, quantiser) in zip(bounds, others, strict=True):
            last = quantiser is self.last_quantiser
            shift = bias.detach().numpy()
            if last:
                current = builder.linear(h, self.recurrent.weight.detach().numpy(), shift)
            else:
                current = builder.affine(builder.zeros(shift.size), np.ones(shift.size), shift)
            train, trace = builder.bif_driven(
                current, train, weight.detach().numpy(), steps, quantiser.low, quantiser.high, h if last else None
            )
        return trace

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """Spikes through all matrices but the first, once per inner step, and one product with the settled past."""
        settled = self._settled(x, state)
        spiking = [
            Synapses((Product(weight, before.rows),))
            for (weight, _, _), before in zip(self._synapses_in_steps()[1:], settled, strict=False)
        ]
        past = torch.cat([state["h"][:, None], y[:, :-1]], 1)
        return [*spiking, Synapses((Product(self.recurrent.weight, past),))]

    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """The spikes of all inner steps."""
        return torch.cat([settled.rows.flatten() for settled in self._settled(x, state)])

    def inner_steps(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """Inner steps until the last stage had settled."""
        return self._settled(x, state)[-1].used


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32)
