"""Spiking linear attention and a selective state space, as a causal decoder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.decoders.encoded import EncodedDecoder, encoded_channels
from bmi_decoder.errors import InputError
from bmi_decoder.layers.branches import Branches, Skip
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, Stack
from bmi_decoder.layers.mamba import Mamba
from bmi_decoder.layers.normalise import Dropout
from bmi_decoder.layers.rms_norm import RmsNorm
from bmi_decoder.layers.spiking_attention import SpikingLinearAttention
from bmi_decoder.layers.spiking_dense import SpikingDense
from bmi_decoder.training.recipe import Recipe

_MEMBRANE_S, _WINDOW_S = 0.072, 0.8
_STEPS_PER_S = (0.4, 10.0)
"""What the values chosen at bins of 50 ms are in seconds: beta 0.5, a window of 16 bins, steps of 0.02 to 0.5."""


class SpikMambaDecoder(EncodedDecoder):
    """Spike embedding, linear attention between spikes, and a Mamba block on the sum of both.

    Per bin, with e_0 the encoded channels, LIF the neurons of `Lif` with a reset to zero, and block l = 1 ... L::

        e_l = LIF(BN(W_l e_(l-1)))
        o_l = SpikingLinearAttention(e_l)
        r   = e_1 + o_1 + ... + e_L + o_L
        r   = r + Mamba(RMSNorm(r))
        y   = W_y RMSNorm(r) + b_y

    Everything in front of a threshold is a sum over spikes or quantised channels, hence exact: spikes are the same
    in torch, ONNX and the streaming machine. What follows them is real-valued.

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden, blocks, heads : int
        Spiking neurons per block, which is also the width of r; blocks L; heads of each attention.
    window : float
        Initial time constant of the attention's decay in bins, learned per head. None in a preset: 0.8 s.
    features : {"shifted", "binary"}
        Queries and keys as ELU(spike) + 1, which is 1 or 2, or as spikes.
    normaliser : bool
        Whether attention divides by the sum of its weights.
    expand, n_state, conv_width : int
        Of the Mamba block.
    step_range : (float, float)
        Of its initial step sizes in bins. None in a preset: 0.4 to 10 per second.
    batch_norm : bool
        BN above; otherwise the identity.
    beta, threshold : float
        Initial decay and threshold of all neurons, learned per neuron. A beta of None in a preset: 72 ms.
    graded_limit, graded_step : float
        0 feeds binary spikes. Otherwise channels enter as multiples of `graded_step`, a power of two, limited to plus
        or minus `graded_limit`.
    standardise : bool
        Train on standardised channels; the scaling is folded into W_1 afterwards.
    input_dropout, dropout : float
        Of the encoded channels, and of what enters the Mamba block and the readout, while training.

    Notes
    -----
    After Chen et al. 2024, MM Asia (arXiv 2410.16746), which classifies event camera recordings; the causal form is
    ours, see the reference page for what differs.
    """

    name: ClassVar[str] = "spik_mamba"
    summary: ClassVar[str] = "spiking linear attention and a selective state space (SpikMamba), causal"
    exact: ClassVar[bool | None] = False
    features: ClassVar[str | None] = "dropout"
    presets: ClassVar = {
        "paper": Preset(
            {"hidden": 256, "blocks": 2, "heads": 8, "dropout": 0.3},
            Recipe(learning_rate=1e-3, weight_decay=2e-4, epochs=100, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {
                "hidden": 128,
                "window": None,
                "step_range": None,
                "batch_norm": False,
                "beta": None,
                "threshold": 1.0,
                "graded_limit": 15.0,
                "standardise": True,
                "input_dropout": 0.3,
                "dropout": 0.3,
            },
            Recipe(learning_rate=5e-3, weight_decay=0.3, updates=900, averaging=0.99),
        ),
    }

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        hidden: int = 64,
        blocks: int = 1,
        heads: int = 4,
        window: float = 16.0,
        features: Literal["shifted", "binary"] = "shifted",
        normaliser: bool = True,
        expand: int = 2,
        n_state: int = 16,
        conv_width: int = 4,
        step_range: Sequence[float] = (1e-3, 1e-1),
        batch_norm: bool = True,
        beta: float = 0.5,
        threshold: float = 2.0,
        graded_limit: float = 0.0,
        graded_step: float = 1.0,
        standardise: bool = False,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        if blocks < 1 or hidden < 1 or heads < 1 or hidden % heads:
            raise InputError(
                f"spik_mamba needs at least one block, and as many neurons as divide into the heads; got {blocks} "
                f"blocks, {hidden} neurons and {heads} heads"
            )
        if features not in ("shifted", "binary"):
            raise InputError(f"features must be 'shifted' or 'binary', got {features!r}")
        low, high = step_range

        def block(n_in: int, left: int) -> Stack:
            branches: dict[str, Layer] = {
                "skip": Skip(),
                "attention": SpikingLinearAttention(
                    hidden, heads, [window] * heads, features, normaliser, batch_norm, beta, threshold
                ),
            }
            if left > 1:
                branches["deeper"] = block(hidden, left - 1)
            spikes = SpikingDense(n_in, hidden, batch_norm, beta, threshold, "zero")
            return Stack({"spikes": spikes, "sum": Branches("sum", branches)})

        mamba = {
            "norm": RmsNorm(hidden),
            "dropout": Dropout(dropout),
            "block": Mamba(hidden, expand, n_state, conv_width, (low, high)),
        }
        layers: dict[str, Layer] = {
            **encoded_channels(n_channels, graded_limit, graded_step, standardise, input_dropout),
            "block": block(n_channels, blocks),
            "mamba": Branches("sum", {"skip": Skip(), "mamba": Stack(mamba)}),
            "norm": RmsNorm(hidden),
            "dropout": Dropout(dropout),
            "readout": Dense(hidden, n_outputs),
        }
        settings = {
            "hidden": hidden,
            "blocks": blocks,
            "heads": heads,
            "window": window,
            "features": features,
            "normaliser": normaliser,
            "expand": expand,
            "n_state": n_state,
            "conv_width": conv_width,
            "step_range": [low, high],
            "batch_norm": batch_norm,
            "beta": beta,
            "threshold": threshold,
            "graded_limit": graded_limit,
            "graded_step": graded_step,
            "standardise": standardise,
            "input_dropout": input_dropout,
            "dropout": dropout,
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        """Time constants for the bin width; graded input for channels that are no longer counts."""
        seconds = {
            "beta": math.exp(-bin_s / _MEMBRANE_S),
            "window": _WINDOW_S / bin_s,
            "step_range": [rate * bin_s for rate in _STEPS_PER_S],
        }
        adapted = super().adapt(hyper_parameters, bin_s, are_counts)
        return {name: seconds[name] if value is None else value for name, value in adapted.items()}

    @property
    def first(self) -> Dense:
        """See `EncodedDecoder`."""
        spikes = self.stack.get_submodule("layers.block.layers.spikes")
        assert isinstance(spikes, SpikingDense)
        return spikes.dense

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the readout."""
        self.layer("readout", Dense).scale_output(scale, shift)
