"""Linear attention between spikes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bmi_decoder.layers.branches import Branches
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.gating import Silu
from bmi_decoder.layers.layer import Stack
from bmi_decoder.layers.linear_attention import LinearAttention
from bmi_decoder.layers.spiking_dense import SpikingDense


class SpikingLinearAttention(Stack):
    """Linear attention whose queries and keys are spikes, gated by the input.

    Per bin, for an input e of spikes::

        q = LIF(BN(W_q e)) ;  k = LIF(BN(W_k e)) ;  v = W_v e
        o = W_o (LinearAttention(q, k, v) * SiLU(W_g e))

    Parameters
    ----------
    n : int
        Inputs, outputs and values: ``n / heads`` elements of a query, a key and a value per head.
    heads : int
    windows : sequence of float
        See `LinearAttention`.
    features : {"binary", "shifted"}
    normalise : bool
        Whether the attention has a normaliser.
    batch_norm : bool
    beta, threshold : float
        Of the neurons, at first.

    Notes
    -----
    State: ``inner.attention.attention.memory``, and the membranes of queries and keys, those of the queries first.
    Chen et al. 2024, MM Asia (arXiv 2410.16746), on one frame's patches there, on the decaying past here.
    """

    def __init__(
        self,
        n: int,
        heads: int,
        windows: Sequence[float],
        features: Literal["binary", "shifted"],
        normalise: bool,
        batch_norm: bool,
        beta: float,
        threshold: float,
    ) -> None:
        if n % heads:
            raise ValueError(f"{n} values do not divide into {heads} heads")
        parts = {
            "query_key": SpikingDense(n, 2 * n, batch_norm, beta, threshold, "zero"),
            "value": Dense(n, n, bias=False),
        }
        size = n // heads
        attention = {
            "parts": Branches("concatenate", parts),
            "attention": LinearAttention(heads, size, size, windows, features, normalise),
        }
        gate = {"dense": Dense(n, n), "silu": Silu()}
        inner = Branches("product", {"attention": Stack(attention), "gate": Stack(gate)})
        super().__init__({"inner": inner, "out": Dense(n, n, bias=False)})
