"""The quantised recurrent network: its equations, its gradients, and that folding changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.quantised_rnn import QuantisedRnn


def network(sizes: tuple[int, ...] = (6,), **changes: int) -> QuantisedRnn:
    torch.manual_seed(0)
    settings = {"levels": 16, "signed": False, "hidden_levels": 32, "hidden_signed": True, **changes}
    layer = QuantisedRnn(5, sizes, 7, **settings)  # type: ignore[arg-type]
    layer.calibrate(counts(1)[0])
    return layer


def counts(n_batch: int = 3, n_bins: int = 40) -> Tensor:
    return torch.poisson(torch.full((n_batch, n_bins, 5), 1.5), generator=torch.Generator().manual_seed(1))


def test_scan_follows_the_equations() -> None:
    layer, x = network((6, 4)).eval(), counts(1)
    p = {name: value.detach().double().numpy() for name, value in layer.named_parameters()}
    limits = {0: (0, 15), 1: (0, 15), 2: (-16, 15)}

    def q(v: np.ndarray, i: int) -> np.ndarray:
        s = p[f"quantisers.{i}.step"]
        return s * np.clip(np.floor(v / s + 0.5), *limits[i])

    h, want = np.zeros(7), []
    for row in x[0].double().numpy():
        a = q(p["first.linear.weight"] @ row + p["first.linear.bias"], 0)
        a = q(p["deeper.0.weight"] @ a + p["deeper.0.bias"], 1)
        h = q(p["deeper.1.weight"] @ a + p["deeper.1.bias"] + p["recurrent.weight"] @ h, 2)
        want.append(h)
    with torch.no_grad():
        got, state = layer.scan(x, layer.initial_state(1))
    assert np.std(want) > 0.1
    np.testing.assert_allclose(got[0].numpy(), want, atol=1e-5)
    assert torch.equal(state["h"], got[:, -1])


def test_gradients_of_the_scan_are_those_of_repeated_steps() -> None:
    layer, x = network(), counts(3, 25)
    weight = torch.randn(3, 25, 7, generator=torch.Generator().manual_seed(2))
    found = []
    for scan in (layer.scan, lambda x, s: Layer.scan(layer, x, s)):
        layer.zero_grad()
        (scan(x, {"h": torch.full((3, 7), 0.25)})[0] * weight).sum().backward()
        found.append({name: p.grad.clone() for name, p in layer.named_parameters()})  # type: ignore[union-attr]
    assert all(bool(gradient.any()) for gradient in found[0].values())
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", [(6,), (6, 4)])
def test_folded_steps_leave_the_output_as_it_was(sizes: tuple[int, ...]) -> None:
    layer, x, readout = network(sizes).eval(), counts(), Dense(7, 2)
    with torch.no_grad():
        before = readout.scan(layer.scan(x, layer.initial_state(3))[0], {})[0]
        layer.fold_into(readout)
        assert layer.finalise(30.0, 1.0) == (16.0, 1.0)
        h, _ = layer.scan(x, layer.initial_state(3))
        after = readout.scan(h, {})[0]
    assert torch.equal(h, h.round()) and int(h.min()) >= -16 and int(h.max()) <= 15 and len(h.unique()) > 5
    assert float(before.std()) > 0.05
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)


def test_currents_are_exact_in_any_order() -> None:
    layer = network().eval()
    layer.fold_into(Dense(7, 2))
    layer.finalise(30.0, 1.0)
    rng = np.random.default_rng(0)
    rows = np.hstack([layer.deeper[0].weight.detach().numpy(), layer.recurrent.weight.detach().numpy()])
    bias = layer.deeper[0].bias.detach().numpy()
    assert rows.dtype == np.float32
    for _ in range(200):
        inputs = np.concatenate([rng.integers(0, 16, 6), rng.integers(-16, 16, 7)]).astype(np.float32)
        exact = rows.astype(np.float64) @ inputs + bias + 0.5
        for order in (np.arange(13), rng.permutation(13)):
            total = bias + np.float32(0.5)
            for j in order:
                total = total + rows[:, j] * inputs[j]
            assert np.array_equal(total, exact)
