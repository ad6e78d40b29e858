"""The BioCAS 2024 challenge's most accurate entry: GRU on a latent vector that also explains the counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.ae_gru_training import EarlierWindows, Sampling
from bmi_decoder.decoders.decoder import Preset, StackDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.layers.boxcar import Boxcar
from bmi_decoder.layers.compress import Clamp, LogSoftplus
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.history import SubWindows
from bmi_decoder.layers.initial_weights import Initial
from bmi_decoder.layers.inner_steps import InnerSteps
from bmi_decoder.layers.layer import Layer, Stack
from bmi_decoder.layers.normalise import Dropout
from bmi_decoder.layers.normed_gru import NormedGru
from bmi_decoder.layers.perceptron import BatchNorm
from bmi_decoder.training.auxiliary import Auxiliary
from bmi_decoder.training.recipe import Recipe
from bmi_decoder.training.reconstruction import Reconstruction

LIMIT = 10.0
"""Largest magnitude of a latent value."""


class AeGruDecoder(StackDecoder):
    """Auto-encoded counts into a GRU with a normalised memory.

    Per bin, with u_1 ... u_n the counts of n adjoining windows, the oldest first::

        h = 0
        for j in 1 ... n:
            z = clamp(BN(W log(softplus(u_j)) + b), -10, 10)
            h = LN(GRU(z, h))
        y = W_y h + b_y

    With one window, h is carried from bin to bin instead of starting from 0 in each.

    Only while training, the latent vector z also has to explain the counts, ``exp(W_r z + b_r)`` being their
    Poisson rates; it may be sampled around its value with a deviation that is learned; and the estimates after
    the earlier windows are judged too, against the kinematics of the bins in which these ended.

    Parameters
    ----------
    n_channels, n_outputs : int
    latent, hidden : int
        Size of z, and GRU units.
    windows, width_s : int, float
        How many windows, and the length of each in seconds (`bin_s` decides how many bins that is, at least one).
    bin_s : float
        Bin width in seconds; `train` sets it from the recording.
    input_dropout, dropout : float
        Of log(softplus(u)) and of h, while training.
    initial : {"orthogonal", "xavier_normal", "torch"}
        What the GRU starts from, see `set_initial_weights`.
    reconstruction : float
        Weight of the Poisson loss per channel and window, against that of the kinematics; 0 is off.
    sampling : int
        Hidden units of the branch that learns the deviation of z; 0 takes z as it is.
    earlier_labels : bool
        Whether estimates after the earlier windows are judged too; all windows then weigh the same.

    Notes
    -----
    AEGRU of the team BioCircuitBreakers, BioCAS 2024 grand challenge on neural decoding, code in
    CityU-BRAINSys-Lab/2024BioCASGrandChallenge: 5 windows of 80 ms at bins of 4 ms, 32 latent values, 32 units.
    """

    name: ClassVar[str] = "ae_gru"
    summary: ClassVar[str] = "GRU on auto-encoded counts; most accurate real-time entry of the BioCAS 2024 challenge"
    features: ClassVar[str | None] = "dropout"
    presets: ClassVar = {
        "paper": Preset(
            {"reconstruction": 0.5, "sampling": 128, "earlier_labels": True, "initial": "torch"},
            Recipe(
                learning_rate=1e-3,
                weight_decay=1e-3,
                epochs=50,
                warm_up=0,
                averaging=0,
                poisson_resampling=0.5,
            ),
        ),
        "best": Preset(
            {
                "latent": 64,
                "hidden": 256,
                "windows": 1,
                "width_s": 0.0,
                "input_dropout": 0.2,
                "reconstruction": 0.1,
            },
            Recipe(learning_rate=3e-3, weight_decay=1.0, updates=1300, position_weight=0.3),
        ),
    }

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        latent: int = 32,
        hidden: int = 32,
        windows: int = 5,
        width_s: float = 0.08,
        bin_s: float = 0.004,
        input_dropout: float = 0.0,
        dropout: float = 0.5,
        initial: Initial = "orthogonal",
        reconstruction: float = 0.0,
        sampling: int = 0,
        earlier_labels: bool = False,
    ) -> None:
        if windows < 1 or sampling < 0:
            raise InputError(f"windows must be at least 1 and sampling at least 0, got {windows} and {sampling}")
        if bin_s <= 0 or width_s < 0 or reconstruction < 0:
            raise InputError(
                "bin_s must be positive, width_s and reconstruction not negative, "
                f"got {bin_s}, {width_s} and {reconstruction}"
            )
        self._width = max(1, round(width_s / bin_s))
        encoder: dict[str, Layer] = {
            "compress": LogSoftplus(),
            "input_dropout": Dropout(input_dropout),
            "encode": Dense(n_channels, latent),
            "norm": BatchNorm(latent),
            "latent": Clamp(LIMIT),
            "gru": NormedGru(latent, hidden, initial),
        }
        layers: dict[str, Layer]
        if windows > 1:
            layers = {
                "windows": SubWindows(n_channels, self._width, windows),
                "network": InnerSteps(Stack(encoder), windows),
            }
        else:
            layers = {**({"windows": Boxcar(n_channels, self._width)} if self._width > 1 else {}), **encoder}
        settings: dict[str, Any] = {
            "latent": latent,
            "hidden": hidden,
            "windows": windows,
            "width_s": width_s,
            "bin_s": bin_s,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "initial": initial,
            "reconstruction": reconstruction,
            "sampling": sampling,
            "earlier_labels": earlier_labels,
        }
        after: dict[str, Layer] = {"dropout": Dropout(dropout), "readout": Dense(hidden, n_outputs)}
        super().__init__(n_channels, n_outputs, settings, {**layers, **after})

    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        """Windows of as many bins as they last; no Poisson loss for channels that are no longer counts."""
        without = {} if are_counts else {"reconstruction": 0.0}
        return {**hyper_parameters, "bin_s": bin_s, **without}

    @property
    def _readout(self) -> Dense:
        return self.layer("readout", Dense)

    def auxiliaries(self, are_counts: bool) -> list[Auxiliary]:
        """Sampling, reconstruction and the earlier windows' labels, as far as they are on."""
        p = self.hyper_parameters
        inside = "network." if p["windows"] > 1 else ""
        parts: list[Auxiliary] = []
        if p["sampling"]:
            names = f"{inside}compress", f"{inside}latent"
            parts.append(Sampling(*names, self.n_channels, p["sampling"], p["latent"]))
        if p["reconstruction"]:
            if not are_counts:
                raise InputError("reconstruction is a loss of spike counts; behind an input filter it must be 0")
            of = "windows" if "windows" in self.stack.layers else None
            parts.append(Reconstruction(f"{inside}latent", p["latent"], self.n_channels, p["reconstruction"], of))
        if p["earlier_labels"] and p["windows"] > 1:
            parts.append(EarlierWindows("network.gru", self._estimate, p["windows"], self._width))
        return parts

    def _estimate(self, h: Tensor) -> Tensor:
        """Kinematics from hidden vectors (..., H), as at the end of the stack."""
        dropout = self.stack.layers["dropout"]
        return self._readout.linear(dropout(h))

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the readout."""
        self._readout.scale_output(scale, shift)
