"""Linear regression on the recent past, the field's oldest decoder that still works."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset, StackDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.history import History, SubWindows
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.normalise import Standardise
from bmi_decoder.training.recipe import Recipe

HISTORIES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20)
RIDGES = (1e-6, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
MAX_INPUTS = 4096
"""Of the regression, when the length of the history is chosen: the cost grows with the third power."""
_SMALLEST_RIDGE = 1e-9


class WienerDecoder(StackDecoder):
    """Ridge regression of each output on the last counts of all channels, in closed form.

    With phi the `history` last taps of all channels, each standardised, and Y the standardised outputs::

        W = argmin |Y - W phi|^2 / T + ridge |W|^2

    The standardisation is folded into W and its bias.

    Parameters
    ----------
    n_channels, n_outputs : int
    history : int, optional
        Taps: how many recent counts of each channel. None chooses on the validation part.
    tap_bins : int
        Bins summed to one tap. For bins of 4 ms, taps of 25 bins keep the regression small.
    ridge : float, optional
        Penalty in units of one input's variance; 0 is ordinary least squares. None chooses on the
        validation part.

    Notes
    -----
    Carmena et al. 2003, PLoS Biol. 1 e42: ten taps of 100 ms, least squares.
    """

    name: ClassVar[str] = "wiener"
    summary: ClassVar[str] = "linear regression on the recent past, in closed form; trained in seconds"
    closed_form: ClassVar[bool] = True
    presets: ClassVar = {
        "paper": Preset({"history": 10, "tap_bins": 2, "ridge": 0.0}, Recipe()),
        "best": Preset({}, Recipe()),
    }

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        history: int | None = None,
        tap_bins: int = 1,
        ridge: float | None = None,
    ) -> None:
        if ridge is not None and not 0 <= ridge < float("inf"):
            raise InputError(f"ridge must be at least 0, got {ridge}")
        settings = {"history": history, "tap_bins": tap_bins, "ridge": ridge}
        taps = HISTORIES[0] if history is None else history
        super().__init__(n_channels, n_outputs, settings, _layers(n_channels, n_outputs, taps, tap_bins))

    @torch.no_grad()
    def fit_closed_form(self, x: Tensor, y: Tensor, validation_x: Tensor, validation_y: Tensor) -> None:
        """Solve for every penalty and length of history that is not given, and keep the best on validation."""
        given, tap_bins = self.hyper_parameters["history"], self.hyper_parameters["tap_bins"]
        penalties = RIDGES if self.hyper_parameters["ridge"] is None else (self.hyper_parameters["ridge"],)
        most = max(1, MAX_INPUTS // self.n_channels)
        histories = [h for h in HISTORIES if h <= most] if given is None else [given]
        longest = _layers(self.n_channels, self.n_outputs, histories[-1], tap_bins)["history"]
        taps, validation = (longest.scan(z[None], longest.initial_state(1))[0][0] for z in (x, validation_x))
        standardise = Standardise(taps.shape[1])
        standardise.calibrate(taps)
        phi, validation = standardise(taps).double(), standardise(validation).double()
        deviation, mean = torch.std_mean(y.double(), 0)
        target = (y - mean) / deviation.clamp(min=1e-12)
        gram, moments = phi.T @ phi / len(phi), phi.T @ target / len(phi)
        best, chosen = -float("inf"), (histories[0], penalties[0])
        solution = torch.zeros(0)
        for history in histories:
            newest = slice(taps.shape[1] - history * self.n_channels, None)
            for ridge in penalties:
                matrix = gram[newest, newest].clone()
                matrix.diagonal().add_(ridge + _SMALLEST_RIDGE)
                factor, failed = torch.linalg.cholesky_ex(matrix)  # fails without a penalty, by rounding
                if failed:
                    weight = torch.linalg.solve(matrix, moments[newest])
                else:
                    weight = torch.cholesky_solve(moments[newest], factor)
                estimate = validation[:, newest] @ weight * deviation + mean
                score = mean_r2(validation_y.numpy(), estimate.numpy())
                if score > best:
                    best, chosen, solution = score, (history, ridge), weight
        history, ridge = chosen
        self.hyper_parameters.update(history=history, ridge=ridge)
        layers = _layers(self.n_channels, self.n_outputs, history, tap_bins)
        for name, layer in layers.items():
            self.stack.layers[name] = layer
        dense, newest = layers["dense"], slice(taps.shape[1] - history * self.n_channels, None)
        assert isinstance(dense, Dense)
        weight = solution.T * deviation[:, None] * standardise.scale[newest]
        shift = (solution.T * deviation[:, None]) @ standardise.shift[newest].double()
        dense.linear.weight.copy_(weight)
        dense.linear.bias.copy_(shift + mean)

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the weights."""
        self.layer("dense", Dense).scale_output(scale, shift)


def _layers(n_channels: int, n_outputs: int, history: int, tap_bins: int) -> dict[str, Layer]:
    taps = History(n_channels, history) if tap_bins == 1 else SubWindows(n_channels, tap_bins, history)
    return {"history": taps, "dense": Dense(n_channels * history, n_outputs)}
