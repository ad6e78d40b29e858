from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bmi_decoder.training.augmentation import Augmentation
from bmi_decoder.training.recipe import Recipe

RATE = 3.0


def counts(seed: int = 0, shape: tuple[int, ...] = (40, 50, 60)) -> Tensor:
    return torch.poisson(torch.full(shape, RATE), generator=torch.Generator().manual_seed(seed))


def changed(x: Tensor, are_counts: bool = True, seed: int = 1, **recipe: float) -> Tensor:
    before = x.clone()
    y = Augmentation(Recipe(**recipe), are_counts, torch.Generator().manual_seed(seed))(x)
    assert torch.equal(x, before), "the recording itself was changed"
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    return y


def test_nothing_is_changed_unless_asked() -> None:
    x = counts()
    assert torch.equal(changed(x), x)


def test_resampled_counts_are_poisson_around_the_recorded_ones() -> None:
    """Mean stays; the variance of Poisson(Poisson(rate)) is twice the rate."""
    x = counts()
    y = changed(x, poisson_resampling=1.0)
    assert torch.equal(y, y.round())
    assert bool((y >= 0).all())
    assert not y[x == 0].any(), "a silent bin stays silent"
    assert float(y.mean()) == pytest.approx(RATE, rel=0.02)
    assert float(y.var()) == pytest.approx(2 * RATE, rel=0.03)


def test_only_a_share_of_the_counts_is_drawn_anew() -> None:
    x = counts()
    share = float((changed(x, poisson_resampling=0.3) != x).double().mean())
    everything = float((changed(x, poisson_resampling=1.0) != x).double().mean())
    assert share == pytest.approx(0.3 * everything, rel=0.05)


def test_filtered_channels_are_not_drawn_anew() -> None:
    x = torch.randn(4, 50, 6)
    assert torch.equal(changed(x, are_counts=False, poisson_resampling=1.0), x)


def test_unit_dropout_silences_whole_channels_of_a_window() -> None:
    x = counts() + 1
    y = changed(x, unit_dropout=0.25)
    silent = (y == 0).all(1)
    assert torch.equal(silent, (y == 0).any(1)), "a channel is silent in part of a window only"
    assert float(silent.double().mean()) == pytest.approx(0.25, abs=0.03)
    assert silent.double().mean(1).std() > 0, "lanes lose different channels"
    kept = (~silent)[:, None].expand_as(x)
    torch.testing.assert_close(y[kept], x[kept] / 0.75)
    assert float(y.mean()) == pytest.approx(float(x.mean()), rel=0.04)


def test_unit_dropout_also_works_on_filtered_channels() -> None:
    y = changed(torch.randn(10, 50, 60), are_counts=False, unit_dropout=0.5)
    assert float((y == 0).double().mean()) == pytest.approx(0.5, abs=0.1)


def test_the_generator_decides() -> None:
    recipe = {"poisson_resampling": 0.5, "unit_dropout": 0.2}
    torch.manual_seed(0)
    first = changed(counts(), seed=1, **recipe)
    torch.manual_seed(99)
    assert torch.equal(changed(counts(), seed=1, **recipe), first)
    assert not torch.equal(changed(counts(), seed=2, **recipe), first)
