"""Weights that all tokens of a bin share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.perceptron import BatchNorm
from bmi_decoder.layers.synapses import Product, Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class TokenConv(Layer):
    """Convolution over tokens, ``BN(W [x_(i-k) ... x_(i+k)] + b)`` for token i, with zeros beyond the first and last.

    The input is one token of `n_in` elements behind the other, the output likewise with `n_out`. A kernel of one
    token is a dense layer for each token on its own.

    Parameters
    ----------
    tokens, n_in, n_out : int
    kernel : int
        Tokens under the kernel; odd.
    normalise : bool
        Whether there is a batch normalisation, over bins and tokens; `finalise` folds it into the weights.
    """

    def __init__(self, tokens: int, n_in: int, n_out: int, kernel: int = 1, normalise: bool = False) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"a kernel over tokens has an odd number of them, got {kernel}")
        self.tokens, self.n_in, self.kernel = tokens, n_in, kernel
        self.dense = _SharedDense(kernel * n_in, n_out)
        self.norm = BatchNorm(n_out) if normalise else None

    def _windows(self, x: Tensor) -> Tensor:
        """What each token's product takes, (..., tokens, kernel * n_in)."""
        rows = x.unflatten(-1, (self.tokens, self.n_in))
        if self.kernel == 1:
            return rows
        beyond = rows.new_zeros((*rows.shape[:-2], self.kernel // 2, self.n_in))
        padded = torch.cat([beyond, rows, beyond], -2)
        return torch.cat([padded[..., k : k + self.tokens, :] for k in range(self.kernel)], -1)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        y, _ = self.dense.step(self._windows(x), {})
        return self._normalised(y).flatten(-2), state

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All tokens of all bins in one product."""
        y, _ = self.dense.scan(self._windows(x), {})
        return self._normalised(y).flatten(-2), state

    def _normalised(self, y: Tensor) -> Tensor:
        return y if self.norm is None else self.norm(y)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One linear instruction per token, on the same weights."""
        beyond = self.n_in * (self.kernel // 2)
        if beyond:
            x = builder.concatenate([builder.zeros(beyond), x, builder.zeros(beyond)])
        windows = [x.window(i * self.n_in, self.kernel * self.n_in) for i in range(self.tokens)]
        return builder.concatenate([self._lower_norm(builder, self.dense.lower(builder, window)) for window in windows])

    def _lower_norm(self, builder: Builder, y: Slot) -> Slot:
        return y if self.norm is None else self.norm.lower(builder, y)

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Fold the normalisation, then make the sums exact."""
        if self.norm is not None:
            self.norm.fold_back(self.dense)
        return self.dense.finalise(x_bound, x_step)


class _SharedDense(Dense):
    """A dense layer on inputs (..., tokens, n_in), all tokens at once."""

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """One matrix in as many places as there are tokens."""
        return [Synapses((Product(self.linear.weight, x, positions=x.shape[-2]),))]
