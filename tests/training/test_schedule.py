from __future__ import annotations

import math

import pytest
import torch

from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.training.recipe import Recipe
from bmi_decoder.training.schedule import Schedule, make_optimiser

TOTAL = 100


def schedule(**settings: object) -> tuple[Schedule, torch.optim.Optimizer]:
    recipe = Recipe(learning_rate=1.0, **settings)  # type: ignore[arg-type]
    optimiser = make_optimiser(build_decoder("lstm", 4, 2, {"hidden": 3}), recipe)
    return Schedule(optimiser, recipe, TOTAL), optimiser


def rate(optimiser: torch.optim.Optimizer) -> float:
    (value,) = {group["lr"] for group in optimiser.param_groups}
    return float(value)


def test_cosine_rises_and_falls() -> None:
    made, optimiser = schedule(warm_up=0.1)
    rates = []
    for _ in range(TOTAL):
        rates.append(rate(optimiser))
        made.step()
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == pytest.approx(1)
    assert rates[55] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rate(optimiser) == pytest.approx(0, abs=1e-9)


def test_plateau_steps_down_after_its_patience() -> None:
    made, optimiser = schedule(warm_up=0, schedule="plateau", plateau_patience=1, plateau_factor=0.25)
    rates = []
    for score in (0.1, 0.2, 0.2, 0.1, 0.2, 0.3, math.nan, math.nan):
        made.step()
        made.judge(score)
        rates.append(rate(optimiser))
    assert rates == [1, 1, 1, 0.25, 0.25, 0.25, 0.25, 0.0625]


def test_a_cosine_does_not_look_at_scores() -> None:
    made, optimiser = schedule(warm_up=0)
    for _ in range(20):
        made.judge(0.0)
    assert rate(optimiser) == 1


def test_state_goes_on() -> None:
    made, optimiser = schedule(warm_up=0.3, schedule="plateau", plateau_patience=0)
    for score in (0.2, 0.1):
        made.step()
        made.judge(score)
    other, other_optimiser = schedule(warm_up=0.3, schedule="plateau", plateau_patience=0)
    other.load_state(made.state())
    for score in (0.1, 0.3, *[0.0] * 40):
        for one in (made, other):
            one.step()
            one.judge(score)
        assert rate(optimiser) == rate(other_optimiser)
