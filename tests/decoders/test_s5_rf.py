"""S5-RF as published, as deep as it goes, and all bins at once against one at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bmi_decoder.decoders.check import check_decoder
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.s5_rf import S5RfDecoder
from bmi_decoder.evaluation.operations import measure_operations
from bmi_decoder.layers.resonate_fire import ResonateFire
from bmi_decoder.training.fit import fit
from bmi_decoder.training.recipe import Recipe
from tests.decoders.test_closed_form import task
from tests.decoders.test_published_systems import dense_operations, paper

GRADED: dict[str, Any] = {"graded_limit": 8.0, "graded_step": 0.0625, "standardise": True}


def counts(n_bins: int, n_channels: int, n_lanes: int = 2) -> Tensor:
    return torch.poisson(torch.full((n_lanes, n_bins, n_channels), 0.6), generator=torch.Generator().manual_seed(0))


def deep(layers: int, n_channels: int = 12, **settings: Any) -> S5RfDecoder:
    torch.manual_seed(0)
    small = {
        "hidden": 32,
        "blocks": 8,
        "eta_min": 0.1,
        "eta_max": 1.0,
        "fluctuation": 0.6,
        "input_variance": 1.0,
        "graded_limit": 15.0,
    }
    return S5RfDecoder(n_channels, 2, layers=layers, **{**small, "graded_limit": 15.0, "standardise": True, **settings})


@torch.no_grad()
def stepped(decoder: Decoder, x: Tensor) -> Tensor:
    state, rows = decoder.initial_state(len(x)), []
    for row in x.unbind(1):
        y, state = decoder.step(row, state)
        rows.append(y)
    return torch.stack(rows, 1)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_training_over_2000_bins_at_once_is_the_recurrence(layers: int) -> None:
    """In training mode, with weights on no grid, and from layer to layer: one flipped spike would be far above."""
    decoder = deep(layers)
    x = counts(2000, 12)
    decoder.calibrate(x[0])
    decoder.train()
    with torch.no_grad():
        got = decoder(x)
    want = stepped(decoder, x)
    assert float(want.std()) > 0.02
    torch.testing.assert_close(got, want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("layers", [1, 3, 4])
def test_every_depth_keeps_the_contract(layers: int) -> None:
    check_decoder(lambda: deep(layers, 5), n_bins=80)
    check_decoder(lambda: deep(layers, 5, graded_limit=0.0, standardise=False), n_bins=80)


@pytest.mark.parametrize("layers", [1, 4])
def test_learns_an_easy_task(layers: int) -> None:
    parts = task(n=3000)
    settings = {
        **GRADED,
        "hidden": 64,
        "blocks": 32,
        "eta_min": 0.3,
        "eta_max": 2.0,
        "fluctuation": 0.3,
        "input_variance": 1.0,
    }
    torch.manual_seed(1)
    decoder = S5RfDecoder(12, 2, layers=layers, readout_decay=0.5, **settings)
    recipe = Recipe(updates=300, learning_rate=1e-2)
    assert fit(decoder, *parts, recipe, 0.05, 0, are_counts=False).validation_r2 > 0.8


def test_every_layer_of_four_gets_a_gradient() -> None:
    decoder = deep(4).train()
    decoder(counts(50, 12)).square().mean().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name


def test_paper_is_the_published_network() -> None:
    decoder = paper("s5_rf", 140)
    layers = [layer for layer in decoder.modules() if isinstance(layer, ResonateFire)]
    assert [(layer.n, layer.skip, layer.inputs.linear.in_features) for layer in layers] == [
        (128, False, 140),
        (128, False, 128),
    ]
    for layer in layers:
        a_re, a_im, eta = layer.resonators().detach()
        assert float(eta.min()) >= 0.004 and float(eta.max()) <= 0.1
        torch.testing.assert_close((a_re**2 + a_im**2).sqrt(), torch.exp(-0.5 * eta))
        assert layer.inputs.linear._parameters["bias"] is None
    assert torch.equal(decoder.stack.layers["readout"].beta.detach(), torch.full((2,), 0.8))  # type: ignore[union-attr]
    assert [layer.skip for layer in deep(4).modules() if isinstance(layer, ResonateFire)] == [False, True, True, False]


@pytest.mark.parametrize(("n_channels", "operations"), [(96, 57_600), (192, 82_176)])
def test_complex_weights_count_as_two(n_channels: int, operations: int) -> None:
    """2 (C 128 + 128 128) + 256 products per bin; accumulations only, because all inputs are spikes."""
    decoder = paper("s5_rf", n_channels)
    decoder.finalise(x_step=1.0)
    assert dense_operations(decoder.eval()) == operations
    counted = measure_operations(decoder, [counts(200, n_channels)[0]])
    assert counted["dense"] == operations
    assert counted["macs"] == 0 < counted["acs"] < operations
    assert counted["state_floats"] == 2 * 2 * 128 + 2
