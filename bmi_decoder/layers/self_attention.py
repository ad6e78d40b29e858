"""Self-attention of spikes, without softmax."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.lif import integrate
from bmi_decoder.layers.normalise import Quantise
from bmi_decoder.layers.synapses import Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

STEP, LIMIT = 2.0**-6, 2.0**10
"""Grid on which the memory is read: sums of up to 256 of its elements are exact in float32."""


class SpikingSelfAttention(Layer):
    """Attention between the tokens of a bin, and of the bins before it where the memory lasts.

    The input is, token by token, its query, key and value (heads x n each), all of them spikes. In each head::

        S = g S + sum over tokens of k v^T ;      o = scale R(S)^T q for every token

    R rounds to multiples of 2^-6 up to 2^10. With ``memory`` None g is 0, and without that rounding having anything to
    round this is ``(Q K^T) V scale`` over the tokens of the bin.

    Parameters
    ----------
    tokens, heads, n : int
        Tokens, heads, and elements of a query, key or value in each.
    scale : float
        A power of two, so that currents stay on the grid.
    memory : float, optional
        Initial time constant of g in bins, learned per head; None keeps nothing from bin to bin.

    Notes
    -----
    State: ``memory`` (B, heads, n, n), none without memory. Keys and values are 0 or 1, so the sum over tokens is a
    whole number; the memory then changes element by element, in one order, and what is read of it is on a grid: the
    attention is the same number in torch, ONNX and the streaming machine. Zhou et al. 2023, ICLR (arXiv 2209.15425).
    """

    def __init__(self, tokens: int, heads: int, n: int, scale: float, memory: float | None) -> None:
        super().__init__()
        if n > 256:
            raise ValueError(f"a head of at most 256 elements keeps sums exact, got {n}")
        if not scale > 0 or math.frexp(scale)[0] != 0.5:
            raise ValueError(f"the scale of spiking attention must be a power of two, got {scale}")
        if memory is not None and not memory > 0:
            raise ValueError(f"the memory of attention must last for more than 0 bins, got {memory}")
        self.tokens, self.heads, self.n, self.scale = tokens, heads, n, scale
        self.remembers = memory is not None
        if memory is not None:
            self.decay_logit = nn.Parameter(torch.full((heads,), -math.log(math.expm1(1 / memory))))
        self._read = Quantise(STEP, LIMIT)

    def _decay(self) -> Tensor:
        return torch.sigmoid(self.decay_logit) if self.remembers else torch.zeros(self.heads)

    def initial_state(self, batch: int) -> State:
        """Nothing seen."""
        return {"memory": torch.zeros(batch, self.heads, self.n, self.n)} if self.remembers else {}

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (..., heads, tokens, n)."""
        parts = x.unflatten(-1, (self.tokens, 3, self.heads, self.n))
        query, key, value = (part.transpose(-2, -3) for part in parts.unbind(-3))
        return query, key, value

    def _output(self, query: Tensor, memory: Tensor) -> Tensor:
        return (query @ self._read(memory)).transpose(-2, -3).flatten(-3) * self.scale

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        query, key, value = self._parts(x)
        memory = key.transpose(-1, -2) @ value
        if not self.remembers:
            return self._output(query, memory), {}
        memory = self._decay()[:, None, None] * state["memory"] + memory
        return self._output(query, memory), {"memory": memory}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins at once: what is written, the memory in compiled loops, what is read."""
        query, key, value = self._parts(x)
        memory = key.transpose(-1, -2) @ value  # (B, T, heads, n, n)
        if not self.remembers:
            return self._output(query, memory), {}
        decay = self._decay().repeat_interleave(self.n * self.n)
        memory = integrate(memory.flatten(2), state["memory"].flatten(1), decay).unflatten(2, (self.heads, self.n, -1))
        return self._output(query, memory), {"memory": memory[:, -1]}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        size = self.heads * self.n * self.n
        memory = builder.state("attention.memory", np.zeros(size)) if self.remembers else builder.zeros(size)
        decay = self._decay().detach().numpy()
        return builder.spiking_self_attention(x, memory, self.tokens, self.heads, decay, STEP, LIMIT, self.scale)

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """On the grid of what is read."""
        return x_bound * self.n * LIMIT * self.scale, STEP * self.scale

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """Products that write and read the memory, by keys and by queries; and those with which it forgets."""
        query, key, value = self._parts(x)
        size = x.shape[0] * x.shape[1] * self.heads * self.n * self.n
        written = int((torch.count_nonzero(key, -1) * torch.count_nonzero(value, -1)).sum())
        read = int(torch.count_nonzero(query)) * self.n
        through = Synapses((), gates=(2 * size * self.tokens, written + read), vectors=x)
        if not self.remembers:
            return [through]
        return [through, Synapses((), gates=(size, size), vectors=self._decay().expand(*x.shape[:2], self.heads))]
