"""Linear attention over a decaying past, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.synapses import Synapses
from bmi_decoder.machine.kernels.attention import EPSILON

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

CHUNK = 64
"""Bins that a scan treats with one product; its work per bin grows with it, the number of products falls."""


class LinearAttention(Layer):
    """Attention without softmax, as a recurrence: a matrix per head that forgets by a factor g in each bin.

    The input is all queries, then all keys, then all values of a bin, head after head. In each head, with phi(x) = x
    (``binary``) or x + 1 (``shifted``, which is ELU(x) + 1 where x is a spike)::

        S = g S + phi(k) v^T ;   o = S^T phi(q)

    and with a normaliser::

        n = g n + phi(k) ;       o = S^T phi(q) / (n . phi(q) + 1e-6)

    which is the sum over all bins s up to t of ``g^(t - s) (phi(q_t) . phi(k_s)) v_s``, divided by that sum without v.

    Parameters
    ----------
    heads, n_key, n_value : int
        Heads, and elements of a query or key and of a value in each.
    windows : sequence of float
        Per head, the time constant of g in bins, at first: ``g = exp(-1 / window)``. g is learned.
    features : {"binary", "shifted"}
    normalise : bool

    Notes
    -----
    State: ``memory`` (B, heads, n_key, n_value), with the normaliser as one column more. Katharopoulos et al. 2020,
    ICML, for attention as a recurrence; Sun et al. 2023 (arXiv 2307.08621) for the decay and the form in chunks.
    """

    def __init__(
        self,
        heads: int,
        n_key: int,
        n_value: int,
        windows: Sequence[float],
        features: Literal["binary", "shifted"],
        normalise: bool,
    ) -> None:
        super().__init__()
        if len(windows) != heads or not min(windows) > 0:
            raise ValueError(f"{heads} heads need as many windows above 0 bins, got {list(windows)}")
        if features not in ("binary", "shifted"):
            raise ValueError(f"features must be 'binary' or 'shifted', got {features!r}")
        self.heads, self.n_key, self.n_value = heads, n_key, n_value
        self.features, self.normalise = features, normalise
        self.decay_logit = nn.Parameter(torch.tensor([-math.log(math.expm1(1 / window)) for window in windows]))

    def decay(self) -> Tensor:
        """The factors g (heads,)."""
        return torch.sigmoid(self.decay_logit)

    def initial_state(self, batch: int) -> State:
        """Nothing seen."""
        return {"memory": torch.zeros(batch, self.heads, self.n_key, self.n_value + int(self.normalise))}

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of queries and keys (..., heads, n_key), and values, a normaliser's 1 behind them."""
        n = self.heads * self.n_key
        query, key = (part.unflatten(-1, (self.heads, self.n_key)) for part in (x[..., :n], x[..., n : 2 * n]))
        value = x[..., 2 * n :].unflatten(-1, (self.heads, self.n_value))
        if self.features == "shifted":
            query, key = query + 1, key + 1
        if self.normalise:
            value = torch.cat([value, torch.ones_like(value[..., :1])], -1)
        return query, key, value

    def _output(self, read: Tensor) -> Tensor:
        if self.normalise:
            read = read[..., :-1] / (read[..., -1:] + EPSILON)
        return read.flatten(-2)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        query, key, value = self._parts(x)
        memory = self.decay()[:, None, None] * state["memory"] + key[..., :, None] * value[..., None, :]
        return self._output((query[..., None] * memory).sum(-2)), {"memory": memory}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in chunks: within a chunk as attention with a mask of decays, between chunks by the memory."""
        query, key, value = (part.transpose(1, 2) for part in self._parts(x))  # (B, heads, T, n)
        memory, outputs = state["memory"], []
        log_decay = nn.functional.logsigmoid(self.decay_logit)[:, None]
        for start in range(0, x.shape[1], CHUNK):
            q, k, v = (part[:, :, start : start + CHUNK] for part in (query, key, value))
            bins = torch.arange(q.shape[2], device=x.device)
            age = bins[:, None] - bins
            mask = torch.exp(log_decay[..., None] * age.clamp(min=0)) * (age >= 0)
            since = torch.exp(log_decay * (bins + 1))[..., None]
            left = torch.exp(log_decay * (len(bins) - 1 - bins))[..., None]
            outputs.append((q @ k.transpose(2, 3) * mask) @ v + (q * since) @ memory)
            memory = since[:, -1:] * memory + (k * left).transpose(2, 3) @ v
        return self._output(torch.cat(outputs, 2).transpose(1, 2)), {"memory": memory}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.linear_attention(
            x,
            self.heads,
            self.n_key,
            self.n_value,
            self.decay().detach().numpy(),
            self.features == "shifted",
            self.normalise,
        )

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """Per element of the memory one product to forget; and one to write and one to read, by keys and queries."""
        query, key, value = self._parts(x)
        n_bins, width = x.shape[0] * x.shape[1], value.shape[-1]
        size = n_bins * self.heads * self.n_key * width
        spikes = torch.cat([query, key], -1).flatten(-2)
        decays = self.decay().expand(*x.shape[:2], self.heads)
        written = int((torch.count_nonzero(key, -1) * torch.count_nonzero(value, -1)).sum())
        read = int(torch.count_nonzero(query)) * width
        return [
            Synapses((), gates=(size, size), vectors=decays),
            Synapses((), gates=(2 * size, written + read), vectors=spikes),
        ]
