"""Quantisation with a learned step: values and gradients of Esser et al. 2020."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bmi_decoder.layers.learned_step import LearnedStep


@pytest.mark.parametrize(
    ("levels", "signed", "low", "high"), [(16, False, 0, 15), (32, True, -16, 15), (2, True, -1, 0), (2, False, 0, 1)]
)
def test_values_are_whole_steps_within_the_levels(levels: int, signed: bool, low: int, high: int) -> None:
    quantiser = LearnedStep(5, levels, signed)
    with torch.no_grad():
        quantiser.step.fill_(0.25)
        v = torch.cat([torch.arange(-80, 80) / 16, 10 * torch.randn(200)])
        got = quantiser(v).numpy() / 0.25
    assert np.array_equal(got, np.clip(np.floor(v.double().numpy() / 0.25 + 0.5), low, high))
    assert len(np.unique(got)) == levels, "every level is reached"


def test_gradients_are_those_of_lsq() -> None:
    quantiser = LearnedStep(3, 8, True)
    with torch.no_grad():
        quantiser.step.fill_(0.5)
    v = torch.linspace(-3, 3, 41, requires_grad=True)
    weight = torch.linspace(1, 2, 41)
    (quantiser(v) * weight).sum().backward()
    want_v, want_step = [], 0.0
    for value, w in zip(v.detach().double().numpy() / 0.5, weight.numpy(), strict=True):
        inside = -4 <= value <= 3
        want_v.append(w if inside else 0.0)
        level = min(3.0, max(-4.0, np.floor(value + 0.5)))
        want_step += w * (level - value if inside else level)
    assert v.grad is not None and quantiser.step.grad is not None
    np.testing.assert_allclose(v.grad.numpy(), want_v, atol=1e-6)
    assert float(quantiser.step.grad) == pytest.approx(want_step / (3 * 3) ** 0.5, rel=1e-4)


def test_first_step_follows_the_input() -> None:
    quantiser = LearnedStep(4, 16, False)
    v = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    quantiser.calibrate(v)
    assert float(quantiser.step.detach()) == pytest.approx(2 * float(v.abs().mean()) / 15**0.5)
