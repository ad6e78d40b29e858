"""Masked pretraining: what is hidden, what is learned from the rest, and what a training makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.errors import InputError
from bmi_decoder.training.auxiliary import Window
from bmi_decoder.training.loop import Stretch
from bmi_decoder.training.masked import MaskedCounts, check_masked, pretrain_masked
from bmi_decoder.training.recipe import Recipe

N_CHANNELS, GROUPS, BINS = 12, 4, 5
SMALL: dict[str, Any] = {
    "tokens": 4, "width": 16, "heads": 2, "standardise": True, "graded_limit": 15.0, "memory": 4.0
}  # fmt: skip


def masked(fraction: float = 0.4) -> MaskedCounts:
    means = torch.arange(N_CHANNELS, dtype=torch.float32)
    return MaskedCounts("encode", "blocks", 6, means, torch.full((N_CHANNELS,), 2.0), fraction, GROUPS, BINS)


def counts_of_one_rhythm(n_bins: int) -> Tensor:
    """Channels that share one rate, so that hidden counts can be told from the others."""
    rate = 2 * np.exp(np.sin(np.arange(n_bins) / 9))[:, None] * np.ones(N_CHANNELS)
    return torch.from_numpy(np.random.default_rng(0).poisson(rate).astype(np.float32))


def test_patches_are_groups_of_channels_for_some_bins() -> None:
    torch.manual_seed(0)
    auxiliary = masked()
    hidden = auxiliary.hide(40, 203)
    assert hidden.shape == (40, 203, N_CHANNELS)
    assert float(hidden.float().mean()) == pytest.approx(0.4, abs=0.02)
    groups = hidden.unflatten(2, (GROUPS, N_CHANNELS // GROUPS))
    assert torch.equal(groups, groups[..., :1].expand_as(groups)), "a group is hidden as a whole"
    changes = (hidden[:, 1:] != hidden[:, :-1]).any(2).any(0).nonzero().flatten() + 1
    assert len(set((changes % BINS).tolist())) == 1, "patches begin and end together, `bins` apart"
    assert len({int((auxiliary.hide(1, 50)[0, 1:] != auxiliary.hide(1, 50)[0, :-1]).sum()) for _ in range(9)}) > 1


def test_hidden_channels_become_their_means_and_the_rest_passes() -> None:
    torch.manual_seed(0)
    auxiliary, x = masked(), torch.full((2, 30, N_CHANNELS), 50.0)
    y = auxiliary.passed_on("encode", x)
    hidden = y != 50
    assert 0.1 < float(hidden.float().mean()) < 0.8
    assert torch.equal(y[hidden], auxiliary.means.expand(y.shape)[hidden])
    assert auxiliary.passed_on("blocks", x) is x


def test_loss_is_the_poisson_likelihood_of_hidden_counts_alone() -> None:
    torch.manual_seed(0)
    auxiliary = masked()
    encoded = auxiliary.passed_on("encode", torch.full((2, 30, N_CHANNELS), 50.0))
    hidden = (encoded != 50)[:, 7:]  # 7 bins only fill the state
    x, features = torch.poisson(torch.full((2, 23, N_CHANNELS), 2.0)), torch.rand(2, 23, 6)
    trace, rates = torch.zeros(2, 6), []
    for t in range(23):
        trace = 0.5 * trace + features[:, t]
        rates.append(torch.exp(auxiliary.readout(trace)))
    rate = torch.stack(rates, 1)
    want = -torch.distributions.Poisson(rate).log_prob(x) - torch.lgamma(x + 1)
    loss = auxiliary.loss(Window(x, x[..., :0], {"blocks": features}))
    torch.testing.assert_close(loss, want[hidden].mean(), rtol=1e-4, atol=1e-4)


def test_hidden_counts_are_learned_without_kinematics() -> None:
    x = counts_of_one_rhythm(1500)
    torch.manual_seed(0)
    decoder = build_decoder("spikformer", N_CHANNELS, 2, SMALL)
    readout = decoder.stack.layers["dense"].linear.weight.clone()
    recipe = Recipe(learning_rate=1e-2, masked_updates=60, mask_groups=GROUPS, window_s=2.5, averaging=0.9)
    told: list[float] = []
    report = pretrain_masked(decoder, x[:1200], x[1200:], recipe, 0.05, 0, lambda *what: told.append(what[2]))
    assert report.validation_r2 == max(told) > 0.3, "the shared rhythm explains most of the variation of rates"
    assert torch.equal(decoder.stack.layers["dense"].linear.weight, readout), "kinematics were not trained"


def test_last_share_of_a_stretch() -> None:
    stretch = Stretch(torch.arange(200.0)[:, None], torch.arange(200.0)[:, None])
    assert stretch.last(0.1).x.flatten().tolist() == stretch.last(0.1).y.flatten().tolist() == list(range(180, 200))
    assert len(stretch.last(1.0).x) == 200 and len(stretch.last(1e-9).x) == 1


def test_what_cannot_be_pretrained_is_refused() -> None:
    recipe = Recipe(masked_updates=5)
    spikformer = build_decoder("spikformer", N_CHANNELS, 2, SMALL)
    check_masked(spikformer, recipe, are_counts=True)
    with pytest.raises(InputError, match="without an input filter"):
        check_masked(spikformer, recipe, are_counts=False)
    with pytest.raises(InputError, match="'snn_streaming' names no layers to hide counts in"):
        check_masked(build_decoder("snn_streaming", 4, 2, {}), recipe, are_counts=True)
