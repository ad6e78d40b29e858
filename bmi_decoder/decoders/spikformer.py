"""Spiking transformer over groups of channels, with membranes and memory that live from bin to bin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.decoders.encoded import EncodedDecoder, encoding
from bmi_decoder.errors import InputError
from bmi_decoder.layers.branches import Branches, Skip, Split
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.history import SubWindows
from bmi_decoder.layers.layer import Layer, Stack
from bmi_decoder.layers.leaky_output import scale_leaky_output
from bmi_decoder.layers.lif import LeakyReadout, Lif, Reset
from bmi_decoder.layers.normalise import Dropout, OutputScale, Standardise
from bmi_decoder.layers.self_attention import SpikingSelfAttention
from bmi_decoder.layers.spiking_dense import SpikingDense
from bmi_decoder.layers.token_conv import TokenConv
from bmi_decoder.training.recipe import Recipe

_TAP_S, _MEMORY_S, _MEMBRANE_S, _READOUT_S = 0.05, 0.4, 0.072, 0.1
"""A preset's None in seconds: summed per tap; time constants of the attention, of neurons and of the readout."""


class SpikformerDecoder(EncodedDecoder):
    """Spiking convolutional stem, blocks of spiking self-attention between tokens, and a leaky readout.

    A token is a group of adjoining channels. Per bin, with LIF the neurons of `Lif`, u_i the last counts of group i and
    shared weights W for all tokens::

        x_i = LIF(BN(E_i u_i))                                          convolution over time in each group
        x_i = x_i + LIF(BN(W_p [x_(i-1) x_i x_(i+1)]))                  and over neighbouring groups
        for each block:
            q, k, v = LIF(BN(W_q x)), LIF(BN(W_k x)), LIF(BN(W_v x))
            x = x + LIF(BN(W_o LIF(SpikingSelfAttention(q, k, v))))
            x = x + LIF(BN(W_2 LIF(BN(W_1 x))))
        y = v * LI(W_y [x_1 ... x_N])                                   leaky integrator

    Parameters
    ----------
    n_channels, n_outputs : int
    tokens, width, heads, blocks : int
        Groups of channels; spikes of each token, divided among the heads; blocks of attention.
    expand : int
        Hidden spikes of the W_1, W_2 network, as a multiple of `width`.
    taps, tap_bins : int
        Of the convolution over time: taps, and bins summed for each. A preset's None is 50 ms a tap.
    memory : float
        Initial time constant of the attention's memory in bins; 0 attends to the tokens of the same bin alone. A None
        in a preset is 0.4 s.
    scale : float
        Of the attention, a power of two.
    batch_norm : bool
        BN above; otherwise the identity.
    beta, threshold, attention_threshold : float
        Initial decay and threshold of all neurons, learned per neuron; the last is that of the neurons behind the
        attention. A beta of None in a preset is a time constant of 72 ms.
    reset : {"zero", "subtract", "none"}
        Of all neurons.
    readout_beta : float
        Initial decay of the readout; None in a preset is 100 ms.
    graded_limit, graded_step : float
        0 feeds binary spikes. Otherwise channels enter as multiples of `graded_step`, a power of two, limited to plus
        or minus `graded_limit`.
    standardise : bool
        Train on standardised channels; the scaling is folded into E afterwards.
    input_dropout, dropout : float
        Of the stem's input, and of the spikes that are read, while training.
    output_scale : float, optional
        Initial v; None draws it from N(0, 1).

    Notes
    -----
    After Zhou et al. 2023, ICLR (arXiv 2209.15425) and Zhou et al. 2024 (arXiv 2401.02020), which classify images in
    a few time steps; see the reference page for what differs.
    """

    name: ClassVar[str] = "spikformer"
    summary: ClassVar[str] = "spiking transformer: self-attention of spikes over groups of channels (Spikformer)"
    features: ClassVar[str | None] = "blocks"
    encoder: ClassVar[str | None] = "encode"
    presets: ClassVar = {
        "paper": Preset(
            {"tokens": 16, "width": 256, "heads": 8, "blocks": 2, "expand": 4, "scale": 0.25, "output_scale": 1.0},
            Recipe(learning_rate=1e-3, weight_decay=0.06, epochs=96, averaging=0),
        ),
        "best": Preset(
            {
                "tokens": 4,
                "width": 96,
                "tap_bins": None,
                "memory": None,
                "beta": None,
                "readout_beta": None,
                "graded_limit": 15.0,
                "standardise": True,
                "input_dropout": 0.3,
                "dropout": 0.2,
                "output_scale": 0.5,
            },
            Recipe(learning_rate=5e-3, weight_decay=0.3, updates=900, averaging=0.99),
        ),
    }

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        tokens: int = 8,
        width: int = 64,
        heads: int = 4,
        blocks: int = 1,
        expand: int = 2,
        taps: int = 3,
        tap_bins: int = 1,
        memory: float = 0.0,
        scale: float = 0.125,
        batch_norm: bool = True,
        beta: float = 0.5,
        threshold: float = 1.0,
        attention_threshold: float = 0.5,
        reset: Reset = "zero",
        readout_beta: float = 0.5,
        graded_limit: float = 0.0,
        graded_step: float = 1.0,
        standardise: bool = False,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        output_scale: float | None = None,
    ) -> None:
        if memory < 0 or tokens < 1 or blocks < 1 or heads < 1 or expand < 1 or width < heads or width % heads:
            raise InputError(
                "spikformer needs tokens, blocks, a width that divides into the heads and a memory of 0 or more; got "
                f"{tokens} tokens, {blocks} blocks, width {width}, {heads} heads, expand {expand}, memory {memory}"
            )
        settings = {
            "tokens": tokens,
            "width": width,
            "heads": heads,
            "blocks": blocks,
            "expand": expand,
            "taps": taps,
            "tap_bins": tap_bins,
            "memory": memory,
            "scale": scale,
            "batch_norm": batch_norm,
            "beta": beta,
            "threshold": threshold,
            "attention_threshold": attention_threshold,
            "reset": reset,
            "readout_beta": readout_beta,
            "graded_limit": graded_limit,
            "graded_step": graded_step,
            "standardise": standardise,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "output_scale": output_scale,
        }
        tokens = min(tokens, n_channels)

        def neurons(n: int, level: float = threshold) -> Lif:
            return Lif(n, beta, level, reset, per_neuron=True)

        def unit(n_in: int, n_out: int, kernel: int = 1) -> Stack:
            conv = TokenConv(tokens, n_in, n_out, kernel, batch_norm)
            return Stack({"conv": conv, "lif": neurons(tokens * n_out)})

        def stem(n: int) -> Stack:
            return Stack(
                {
                    "window": SubWindows(n, tap_bins, taps),
                    **({"standardise": Standardise(n * taps)} if standardise else {}),
                    "input_dropout": Dropout(input_dropout),
                    "spikes": SpikingDense(n * taps, width, batch_norm, beta, threshold, reset),
                }
            )

        def block() -> Stack:
            attention: dict[str, Layer] = {
                "query_key_value": unit(width, 3 * width),
                "attention": SpikingSelfAttention(tokens, heads, width // heads, scale, memory or None),
                "lif": neurons(tokens * width, attention_threshold),
                "out": unit(width, width),
            }
            mlp = {"hidden": unit(width, expand * width), "out": unit(expand * width, width)}
            return Stack(
                {
                    "attention": Branches("sum", {"skip": Skip(), "attention": Stack(attention)}),
                    "mlp": Branches("sum", {"skip": Skip(), "mlp": Stack(mlp)}),
                }
            )

        sizes = [len(range(i, n_channels, tokens)) for i in range(tokens)]  # as equal as can be
        layers: dict[str, Layer] = {
            "encode": encoding(graded_limit, graded_step),
            "stem": Split(sizes, {f"group{i}": stem(n) for i, n in enumerate(sizes)}),
            "neighbours": Branches("sum", {"skip": Skip(), "conv": unit(width, width, 3)}),
            "blocks": Stack({f"block{i}": block() for i in range(blocks)}),
            "dropout": Dropout(dropout),
            "dense": Dense(tokens * width, n_outputs),
            "readout": LeakyReadout(n_outputs, readout_beta, threshold),
            "scale": OutputScale(n_outputs, output_scale),
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    def _groups(self) -> list[Stack]:
        return [group for group in self.layer("stem", Split).layers.values() if isinstance(group, Stack)]

    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        """Time constants for the bin width; graded input for channels that are no longer counts."""
        adapted = {
            name: _FOR_BINS[name](bin_s) if value is None and name in _FOR_BINS else value
            for name, value in hyper_parameters.items()
        }
        return super().adapt(adapted, bin_s, are_counts)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Take statistics of each group's encoded channels from x (T, C)."""
        rows, _ = self.layer("encode", Layer).scan(x[None], {})
        for group, part in zip(self._groups(), rows.split(self.layer("stem", Split).sizes, -1), strict=True):
            if "standardise" in group.layers:
                window, standardise = group.layers["window"], group.layers["standardise"]
                assert isinstance(window, SubWindows) and isinstance(standardise, Standardise)
                standardise.calibrate(window.scan(part, window.initial_state(1))[0][0])

    def fold(self) -> None:
        """Fold the standardisation of each group into its part of the stem."""
        for group in self._groups():
            if "standardise" in group.layers:
                standardise, spikes = group.layers["standardise"], group.layers["spikes"]
                assert isinstance(standardise, Standardise) and isinstance(spikes, SpikingDense)
                standardise.fold_into(spikes.dense)

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale and mean into the readout."""
        dense, readout = self.layer("dense", Dense), self.layer("readout", LeakyReadout)
        scale_leaky_output(dense, readout, self.layer("scale", OutputScale), scale, shift)


_FOR_BINS = {
    "tap_bins": lambda bin_s: max(1, round(_TAP_S / bin_s)),
    "memory": lambda bin_s: _MEMORY_S / bin_s,
    "beta": lambda bin_s: math.exp(-bin_s / _MEMBRANE_S),
    "readout_beta": lambda bin_s: math.exp(-bin_s / _READOUT_S),
}
