"""Velocity Kalman filter, the workhorse of clinical brain-machine interfaces."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset, StackDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.layers.boxcar import Boxcar
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.kalman_filter import FullKalman, SteadyKalman
from bmi_decoder.layers.layer import Layer
from bmi_decoder.training.recipe import Recipe

BOXCARS = (1, 2, 3, 4, 6, 8)
NOISES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_SHRINKAGE = 0.01


class Model(NamedTuple):
    """A linear-Gaussian model of movement and channels, see `FullKalman`; float64."""

    transition: Tensor
    noise: Tensor
    information: Tensor
    precision: Tensor
    mean: Tensor


class KalmanDecoder(StackDecoder):
    """Kalman filter whose state is the movement to decode, and its rate of change.

    With z the standardised outputs and, where `rates`, their differences from bin to bin, and x the counts::

        z_t = A z_(t-1) + w,    w ~ N(0, W)
        x_t = H z_t + h + q,    q ~ N(0, noise_scale * Q)

    A, W, H, h and Q are least-squares estimates from the training part; Q is drawn towards its mean variance by
    1 %, for channels that hardly fire.

    Parameters
    ----------
    n_channels, n_outputs : int
    boxcar : int, optional
        Bins summed to one observation. None chooses on the validation part.
    noise_scale : float, optional
        Factor on Q: above 1 it trusts movement more and channels less, which are not independent from bin to
        bin as the model has it. None chooses on the validation part.
    rates : bool
        Whether the state holds rates of change too.
    steady_state : bool
        Use the final gain from the first bin on: then a bin is one affine map, and runs in the streaming machine.

    Notes
    -----
    Wu, Gao, Bienenstock, Donoghue & Black 2006, Neural Comput. 18 80; steady-state gain: Malik, Truccolo, Brown
    & Hochberg 2011, IEEE Trans. Neural Syst. Rehabil. Eng. 19 25.
    """

    name: ClassVar[str] = "kalman"
    summary: ClassVar[str] = "velocity Kalman filter, in closed form; trained in seconds"
    closed_form: ClassVar[bool] = True
    presets: ClassVar = {
        "paper": Preset({"boxcar": 1, "noise_scale": 1.0, "rates": True, "steady_state": False}, Recipe()),
        "best": Preset({"rates": True}, Recipe()),
    }

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        boxcar: int | None = None,
        noise_scale: float | None = None,
        rates: bool = False,
        steady_state: bool = True,
    ) -> None:
        if noise_scale is not None and not 0 < noise_scale < float("inf"):
            raise InputError(f"noise_scale must be above 0, got {noise_scale}")
        if boxcar is not None and boxcar < 1:
            raise InputError(f"boxcar must be at least 1 bin, which takes each bin as it is, got {boxcar}")
        settings = {"boxcar": boxcar, "noise_scale": noise_scale, "rates": rates, "steady_state": steady_state}
        n_state = n_outputs * (2 if rates else 1)
        layers = {
            **_boxcar(n_channels, 1 if boxcar is None else boxcar),
            "filter": (SteadyKalman if steady_state else FullKalman)(n_channels, n_state),
            "readout": Dense(n_state, n_outputs),
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @torch.no_grad()
    def fit_closed_form(self, x: Tensor, y: Tensor, validation_x: Tensor, validation_y: Tensor) -> None:
        """Estimate the model for every setting that is not given, and keep the best on validation."""
        settings = self.hyper_parameters
        boxcars = BOXCARS if settings["boxcar"] is None else (settings["boxcar"],)
        noises = NOISES if settings["noise_scale"] is None else (settings["noise_scale"],)
        deviation, mean = torch.std_mean(y, 0)
        deviation = deviation.clamp(min=1e-12)
        z = ((y - mean) / deviation).double()
        if settings["rates"]:
            rates = torch.diff(z, dim=0, prepend=z[:1])
            z = torch.cat([z, rates], 1)
        kalman, readout = self.stack.layers["filter"], self.stack.layers["readout"]
        assert isinstance(kalman, SteadyKalman | FullKalman) and isinstance(readout, Dense)
        readout.linear.weight.copy_(torch.eye(self.n_outputs, z.shape[1]))
        readout.linear.bias.zero_()
        readout.scale_output(deviation, mean)
        if isinstance(kalman, FullKalman):
            kalman.prior.copy_(z.T @ z / len(z))
        best, chosen = -float("inf"), (boxcars[0], noises[0])
        weights = {name: value.clone() for name, value in kalman.state_dict().items()}
        for boxcar in boxcars:
            sums, validation = (_summed(rows, boxcar) for rows in (x, validation_x))
            for noise_scale in noises:
                kalman.set_model(*_model(sums.double(), z, noise_scale))
                states, _ = kalman.scan(validation[None], kalman.initial_state(1))
                score = mean_r2(validation_y.numpy(), readout.linear(states[0]).numpy())
                if score > best:
                    best, chosen = score, (boxcar, noise_scale)
                    weights = {name: value.clone() for name, value in kalman.state_dict().items()}
        kalman.load_state_dict(weights)
        settings.update(boxcar=chosen[0], noise_scale=chosen[1])
        self.stack.layers = torch.nn.ModuleDict(
            {**_boxcar(self.n_channels, chosen[0]), "filter": kalman, "readout": readout}
        )

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the readout."""
        self.layer("readout", Dense).scale_output(scale, shift)


def _boxcar(n_channels: int, width: int) -> dict[str, Layer]:
    return {"boxcar": Boxcar(n_channels, width)} if width > 1 else {}


def _summed(x: Tensor, width: int) -> Tensor:
    if width == 1:
        return x
    boxcar = Boxcar(x.shape[1], width)
    return boxcar.scan(x[None], boxcar.initial_state(1))[0][0]


def _model(x: Tensor, z: Tensor, noise_scale: float) -> Model:
    transition = torch.linalg.lstsq(z[:-1], z[1:]).solution.T
    step = z[1:] - z[:-1] @ transition.T
    mean = x.mean(0)
    observation = torch.linalg.lstsq(z, x - mean).solution.T
    residual = x - mean - z @ observation.T
    covariance = residual.T @ residual / len(x)
    variance = covariance.diagonal().mean()
    covariance.mul_(1 - _SHRINKAGE).diagonal().add_(_SHRINKAGE * variance)
    information = torch.linalg.solve(noise_scale * covariance, observation).T
    return Model(transition, step.T @ step / len(step), information, information @ observation, mean)
