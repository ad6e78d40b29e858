"""What `ae_gru` has only while it is trained, besides the reconstruction of counts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bmi_decoder.training.auxiliary import Auxiliary, Window


class Sampling(Auxiliary):
    """Normally distributed latent values around those of the decoder, with a learned deviation.

    ::

        log v = W2 ReLU(W1 f + c1) + c2          z -> z + sqrt(v) N(0, 1)

    from the features f that z comes from.

    Parameters
    ----------
    features, latent : str
        Layers that give f and z.
    n_features, n_hidden, n_latent : int
    """

    def __init__(self, features: str, latent: str, n_features: int, n_hidden: int, n_latent: int) -> None:
        super().__init__()
        self.taps = (features, latent)
        self.log_variance = nn.Sequential(nn.Linear(n_features, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_latent))
        self._features: Tensor | None = None

    def passed_on(self, name: str, value: Tensor) -> Tensor:
        """A sample in place of z."""
        if name == self.taps[0]:
            self._features = value
            return value
        assert self._features is not None
        return value + torch.exp(0.5 * self.log_variance(self._features)) * torch.randn_like(value)


class EarlierWindows(Auxiliary):
    """The estimates after all windows but the last, against the kinematics of the bins in which these windows ended.

    The loss is the sum over these windows, so that each weighs as much as the last one, which the decoder's own
    error judges.

    Parameters
    ----------
    tap : str
        Layer that gives the hidden vector after every window, (B, T, n_windows, H).
    estimate : callable
        Hidden vectors to standardised kinematics: the decoder's own readout.
    n_windows, width : int
        Windows, and bins of each.
    """

    def __init__(self, tap: str, estimate: Callable[[Tensor], Tensor], n_windows: int, width: int) -> None:
        super().__init__()
        self.taps = (tap,)
        self._estimate, self._lags = estimate, [width * k for k in range(n_windows - 1, 0, -1)]

    def targets(self, y: Tensor) -> Tensor:
        """The kinematics of the earlier bins, (T, K) for each window; the first row before there were any."""
        bins = torch.arange(len(y))
        return torch.cat([y[(bins - lag).clamp(min=0)] for lag in self._lags], 1)

    def loss(self, window: Window) -> Tensor:
        """Sum over the windows of the mean squared error."""
        estimates = self._estimate(window.seen[self.taps[0]][:, :, :-1])
        return len(self._lags) * nn.functional.mse_loss(estimates.flatten(2), window.targets)
