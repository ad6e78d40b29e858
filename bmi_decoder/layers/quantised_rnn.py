"""Quantised feed-forward stages and a quantised recurrent layer, as one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.exact_sums import Term, make_sums_exact
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.learned_step import LearnedStep
from bmi_decoder.layers.synapses import Product, Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class QuantisedRnn(Layer):
    """Stages of quantised neurons, the last of them recurrent.

    Per bin, with ' for the bin before and Q as in `LearnedStep`::

        a_1 = Q_1(W_1 x + b_1)
        a_l = Q_l(W_l a_(l-1) + b_l)              l = 2 ... N - 1
        h   = Q_N(W_N a_(N-1) + b_N + R h')       output

    Parameters
    ----------
    n_in : int
    sizes : sequence of int
        Neurons of the stages in front, one at least.
    n : int
        Recurrent neurons.
    levels, hidden_levels : int
        Values that a neuron in front, and a recurrent one, can take.
    signed, hidden_signed : bool
        Whether those lie on both sides of zero, see `LearnedStep`.
    dropout : float
        Of what the stages in front give to the recurrent neurons, while training.

    Notes
    -----
    State: ``h`` (B, n). Once finalised, every step is 1: the steps are folded into the weights, h counts in whole
    steps, and all sums are exact, see `Dense`.
    """

    def __init__(
        self,
        n_in: int,
        sizes: Sequence[int],
        n: int,
        levels: int,
        signed: bool,
        hidden_levels: int,
        hidden_signed: bool,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not sizes:
            raise ValueError("a convolutional-recurrent network needs one stage at least in front of the recurrence")
        self.n = n
        self.first = Dense(n_in, sizes[0])
        self.deeper = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, [*sizes[1:], n], strict=True))
        self.recurrent = nn.Linear(n, n, bias=False)
        nn.init.orthogonal_(self.recurrent.weight, gain=0.9)
        self.quantisers = nn.ModuleList(
            [*(LearnedStep(size, levels, signed) for size in sizes), LearnedStep(n, hidden_levels, hidden_signed)]
        )
        self.dropout = nn.Dropout(dropout)

    def stages(self) -> list[tuple[nn.Linear, LearnedStep]]:
        """Weights and quantiser of each stage, the recurrent one last."""
        linears = [self.first.linear, *self.deeper]
        return list(zip(linears, self.quantisers, strict=True))  # type: ignore[arg-type]

    @property
    def last_quantiser(self) -> LearnedStep:
        """That of the recurrent neurons."""
        return self.stages()[-1][1]

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {"h": torch.zeros(batch, self.n)}

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Set each first step from inputs x (T, n_in), and those of the recurrent neurons without recurrence."""
        for linear, quantiser in self.stages():
            current = linear(x)
            quantiser.calibrate(current)
            x = quantiser(current)

    def _front(self, current: Tensor) -> Tensor:
        """From the first stage's current to that of the recurrent neurons, without their recurrence."""
        for linear, quantiser in zip(self.deeper, self.quantisers, strict=False):
            last = linear is self.deeper[-1]
            a = quantiser(current)
            current = linear(self.dropout(a) if last else a)
        return current

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        h = self.last_quantiser(self._front(self.first.step(x, {})[0]) + self.recurrent(state["h"]))
        return h, {"h": h}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The stages in front in a few products, then the recurrence."""
        quantiser = self.last_quantiser
        h = _Recurrence.apply(
            self._front(self.first.scan(x, {})[0]),
            self.recurrent.weight,
            state["h"],
            quantiser.positive_step(),
            quantiser.low,
            quantiser.high,
            quantiser.gradient_scale,
        )
        return h, {"h": h[:, -1].detach()}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One product and one rounding per stage."""
        h = builder.state("quantised.h", np.zeros(self.n))
        y = x
        for linear, quantiser in self.stages():
            current = builder.linear(y, linear.weight.detach().numpy(), linear.bias.detach().numpy())
            if linear is self.deeper[-1]:
                builder.linear(h, self.recurrent.weight.detach().numpy(), onto=current)
            y = builder.round_half_up(current, quantiser.low, quantiser.high)
        builder.assign(h, y)
        return h

    @torch.no_grad()
    def fold_into(self, dense: Dense) -> None:
        """Move all steps into the weights, those of the outputs into the layer behind, and count in steps."""
        before = torch.tensor(1.0)
        for linear, quantiser in self.stages():
            step = quantiser.positive_step().clone()
            linear.weight.mul_(before / step)
            linear.bias.div_(step)
            quantiser.step.fill_(1)
            before = step
        dense.linear.weight.mul_(before)

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Make every current an exact sum, with room for the threshold and for what a membrane gives away."""
        for linear, quantiser in self.stages():
            terms = [Term(linear.weight, x_bound, x_step)]
            if linear is self.deeper[-1]:
                terms.append(Term(self.recurrent.weight, quantiser.largest, 1.0))
            make_sums_exact(terms, linear.bias, room=quantiser.high - quantiser.low + 1)
            x_bound, x_step = float(quantiser.largest), 1.0
        return x_bound, x_step

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """All matrices but the first, which is a layer of its own."""
        found, a = [], self.first.linear(x)
        for linear, quantiser in zip(self.deeper, self.quantisers, strict=False):
            a = quantiser(a)
            assert isinstance(linear, nn.Linear)
            found.append(Synapses((Product(linear.weight, a),)))
            a = linear(a)
        before = torch.cat([state["h"][:, None], y[:, :-1]], 1)
        return [*found, Synapses((Product(self.recurrent.weight, before),))]

    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """What the recurrent neurons pass on."""
        return y


class _Recurrence(torch.autograd.Function):
    """``h_t = Q(drive_t + R h_(t-1))`` over drive (B, T, n), with the gradients of LSQ through time."""

    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, recurrent: Tensor, initial: Tensor, step: Tensor, low: int, high: int, scale: float
    ) -> Tensor:
        rows, steps = [initial], []
        for current in drive.unbind(1):
            steps.append((current + rows[-1] @ recurrent.T) / step)
            rows.append(torch.clamp(torch.floor(steps[-1] + 0.5), low, high) * step)
        ctx.save_for_backward(recurrent, step, torch.stack(rows, 1), torch.stack(steps, 1))
        ctx.low, ctx.high, ctx.scale = low, high, scale
        return torch.stack(rows[1:], 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        recurrent, step, rows, steps = ctx.saved_tensors
        inside = (steps >= ctx.low) & (steps <= ctx.high)
        slope = torch.where(inside, rows[:, 1:] / step - steps, rows[:, 1:] / step)
        passed = torch.empty_like(steps)
        arriving = torch.empty_like(steps)
        d_drive = torch.zeros_like(steps[:, 0])
        for t in range(steps.shape[1] - 1, -1, -1):
            arriving[:, t] = grads[0][:, t] + d_drive @ recurrent
            d_drive = arriving[:, t] * inside[:, t]
            passed[:, t] = d_drive
        d_recurrent = passed.flatten(0, 1).T @ rows[:, :-1].flatten(0, 1)
        d_step = (arriving * slope).sum() * ctx.scale
        return passed, d_recurrent, d_drive @ recurrent, d_step, None, None, None
