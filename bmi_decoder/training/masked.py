"""Self-supervised pretraining: hide some of the counts, and learn their rates from the others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.errors import InputError
from bmi_decoder.layers.lif import integrate
from bmi_decoder.training.auxiliary import Auxiliary, Objectives, Window, tapped_width
from bmi_decoder.training.checkpoint import Checkpoint
from bmi_decoder.training.loop import FitReport, Loop, Progress, Stretch
from bmi_decoder.training.recipe import Recipe, recipe_with

_FIRST_DECAY = 0.5


class MaskedCounts(Auxiliary):
    """Hides patches of a decoder's encoded input, and judges Poisson rates that are read from its features there.

    A patch is a group of adjoining channels over some bins; what it hides becomes the channels' means. With f the
    features of a bin and D learned decays::

        h = D h + f ;   rate = exp(W h + b)          loss = mean over hidden counts n of rate - n log(rate)

    Parameters
    ----------
    encoder, features : str
        Layers whose outputs are masked, and read.
    n_features : int
        Size of the latter.
    means : Tensor (C,)
        What stands in hidden patches: the encoded channels' means in the training data.
    rates : Tensor (C,)
        Mean counts per bin, from which the readout starts.
    fraction : float
        Of all patches that are hidden.
    groups, bins : int
        Groups that the channels are in, and bins of a patch.

    Notes
    -----
    He et al. 2022, CVPR, for masked autoencoders; Ye & Pandarinath 2021 (arXiv 2108.01210) for hidden spike counts and
    their Poisson likelihood. The readout exists only in training.
    """

    means: Tensor
    rates: Tensor

    def __init__(
        self,
        encoder: str,
        features: str,
        n_features: int,
        means: Tensor,
        rates: Tensor,
        fraction: float,
        groups: int,
        bins: int,
    ) -> None:
        super().__init__()
        self.taps = (encoder, features)
        self._encoder, self._features = encoder, features
        self._fraction, self._bins = fraction, bins
        n_channels, groups = len(means), min(groups, len(means))
        sizes = torch.tensor([len(range(i, n_channels, groups)) for i in range(groups)])
        self._sizes = sizes
        self.register_buffer("means", means)
        self.register_buffer("rates", rates.clamp(min=1e-3))
        self.decay_logit = nn.Parameter(torch.logit(torch.full((n_features,), _FIRST_DECAY)))
        self.readout = nn.Linear(n_features, n_channels)
        with torch.no_grad():
            self.readout.weight.mul_(0.1)
            self.readout.bias.copy_(torch.log(self.rates))
        self._hidden: Tensor | None = None

    def hide(self, n_lanes: int, n_bins: int) -> Tensor:
        """A mask (B, T, C) drawn anew, true where counts are hidden. The first patch begins anywhere."""
        start = int(torch.randint(self._bins, ()))
        n_patches = (start + n_bins + self._bins - 1) // self._bins
        drawn = torch.rand(n_lanes, n_patches, len(self._sizes)) < self._fraction
        over_time = drawn.repeat_interleave(self._bins, 1)[:, start : start + n_bins]
        return over_time.repeat_interleave(self._sizes, 2)

    def passed_on(self, name: str, value: Tensor) -> Tensor:
        """The encoded channels with means in hidden patches; everything else as it is."""
        if name != self._encoder:
            return value
        self._hidden = self.hide(*value.shape[:2]).to(value.device)
        return torch.where(self._hidden, self.means, value)

    def log_rates(self, features: Tensor) -> Tensor:
        """Logarithm of expected counts per bin (B, T, C), from features (B, T, F) at rest before the first of them."""
        first = features.new_zeros(features.shape[0], features.shape[2])
        return self.readout(integrate(features, first, torch.sigmoid(self.decay_logit)))

    def loss(self, window: Window) -> Tensor:
        """Negative log likelihood of the hidden counts, without the term that they alone decide."""
        assert self._hidden is not None
        hidden = self._hidden[:, -window.x.shape[1] :]
        log_rates = self.log_rates(window.seen[self._features])
        of_each = nn.functional.poisson_nll_loss(log_rates, window.x, reduction="none")
        return (of_each * hidden).sum() / hidden.sum().clamp(min=1)

    @torch.no_grad()
    def deviance_explained(self, decoder: Decoder, x: Tensor, seed: int) -> float:
        """Share of the Poisson deviance of hidden counts x (T, C) from their mean rates that the decoder explains."""
        was_training, x = decoder.training, x.to(self.means.device)
        decoder.eval()
        seen: dict[str, Tensor] = {}

        def keep(value: Tensor) -> Tensor:
            seen[self._features] = value
            return value

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            taps = {self._encoder: lambda value: self.passed_on(self._encoder, value), self._features: keep}
            decoder.tapped_scan(x[None], decoder.initial_state(1), taps)
        decoder.train(was_training)
        assert self._hidden is not None
        counts, hidden = x[None], self._hidden
        unexplained = _deviance(counts, self.log_rates(seen[self._features]))[hidden].sum()
        return float(1 - unexplained / _deviance(counts, torch.log(self.rates).expand(counts.shape))[hidden].sum())


def _deviance(counts: Tensor, log_rates: Tensor) -> Tensor:
    """Poisson deviance of each count: twice what a rate equal to it would be more likely by."""
    best = torch.xlogy(counts, counts) - counts
    return 2 * (best - (counts * log_rates - torch.exp(log_rates)))


@torch.no_grad()
def _encoded_means(decoder: Decoder, encoder: str, x: Tensor) -> Tensor:
    """Mean of each encoded channel over x (T, C)."""
    means: list[Tensor] = []

    def look(value: Tensor) -> Tensor:
        means.append(value[0].mean(0))
        return value

    decoder.tapped_scan(x[None], decoder.initial_state(1), {encoder: look})
    return means[0]


def check_masked(decoder: Decoder, recipe: Recipe, are_counts: bool) -> None:
    """Raise an InputError if a recipe asks for masked pretraining that the decoder or the data do not allow."""
    if not recipe.masked_updates:
        return
    if decoder.encoder is None or decoder.features is None:
        raise InputError(
            f"decoder {decoder.name!r} names no layers to hide counts in and to read them from; "
            "masked_updates must be 0"
        )
    if not are_counts:
        raise InputError("masked pretraining learns spike counts: train without an input filter, or masked_updates=0")


def pretrain_masked(
    decoder: Decoder,
    x: Tensor,
    validation_x: Tensor,
    recipe: Recipe,
    bin_s: float,
    seed: int,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    device: torch.device | None = None,
) -> FitReport:
    """Train a decoder on counts alone, and leave it with the weights of the best epoch for `fit` to go on with.

    Parameters
    ----------
    decoder : Decoder
        For which `check_masked` raises nothing.
    x, validation_x : Tensor (T, C)
        Counts to learn from, and to judge epochs by; no kinematics are needed.
    recipe : Recipe
        `masked_updates` stand for its updates.
    bin_s, seed, checkpoint, device
        As in `fit`. The checkpoint holds the end of the pretraining too, so that it is not done again.
    progress : callable, optional
        Is told the share of the hidden counts' deviance that is explained, in place of R2.

    Returns
    -------
    FitReport
        With that share in place of R2.

    Raises
    ------
    BmiError
        If the loss stops being finite.
    """
    assert decoder.encoder is not None and decoder.features is not None
    torch.manual_seed(seed)
    decoder.calibrate(x)
    width = tapped_width(decoder, decoder.features)
    bins = max(1, round(recipe.mask_s / bin_s))
    masked = MaskedCounts(
        decoder.encoder, decoder.features, width, _encoded_means(decoder, decoder.encoder, x), x.mean(0),
        recipe.mask_fraction, recipe.mask_groups, bins,
    )  # fmt: skip
    on = torch.device("cpu") if device is None else device
    own = recipe_with(recipe, {"updates": recipe.masked_updates, "epochs": None, "patience": None})
    objectives = Objectives([masked], kinematics=False)
    stretch = Stretch(x, x[:, :0])
    loop = Loop(decoder, objectives, [stretch], own, own.window(bin_s), seed, True, on)

    def score(current: Decoder) -> float:
        return masked.deviance_explained(current, validation_x, seed)

    return loop.run(score, progress, checkpoint, keep_end=True)
