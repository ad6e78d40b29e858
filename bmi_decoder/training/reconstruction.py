"""Spike counts as a second thing to learn."""

from __future__ import annotations

from torch import Tensor, nn

from bmi_decoder.training.auxiliary import Auxiliary, Window


class Reconstruction(Auxiliary):
    """An exponential readout of Poisson rates from a layer, judged by the likelihood of counts.

    ::

        rate = exp(W f + b)          loss = weight mean(rate - n log(rate))

    Parameters
    ----------
    tap : str
        Layer that is read.
    n_features, n_channels : int
        Size of that layer, and of the counts.
    weight : float
        Of the loss per channel and bin.
    of : str, optional
        Layer whose output are the counts n. None: the decoder's input before augmentation.

    Notes
    -----
    The loss has no lower bound where n is negative: it is for counts.
    """

    def __init__(self, tap: str, n_features: int, n_channels: int, weight: float, of: str | None = None) -> None:
        super().__init__()
        self.taps = (tap,) if of is None else (tap, of)
        self._tap, self._of, self.weight = tap, of, weight
        self.readout = nn.Linear(n_features, n_channels)

    def loss(self, window: Window) -> Tensor:
        """Weighted negative log likelihood, without the term that the counts alone decide."""
        log_rates = self.readout(window.seen[self._tap])
        counts = window.x if self._of is None else window.seen[self._of]
        # A layer of sums over several windows gives them one behind the other.
        return self.weight * nn.functional.poisson_nll_loss(log_rates, counts.reshape(log_rates.shape))
