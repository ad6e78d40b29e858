"""Spiking Legendre memory units against snnTorch neurons and their equations; compiled loops against autograd."""

from __future__ import annotations

import pytest
import snntorch
import torch
from torch import Tensor

from bmi_decoder.layers.cuba import CubaLif
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.legendre import legendre_matrices
from bmi_decoder.layers.lmu import SpikingLegendreUnit
from tests.layers.scans import gradients

BETAS, THRESHOLDS, ALPHAS = (0.7, 0.5, 0.6), (0.5, 0.3, 0.6), (0.4, 0.2, 0.3)
VARIANTS = [
    pytest.param(alphas, analogue, id=f"{neuron}-{memory}")
    for neuron, alphas in (("lif", None), ("cuba", ALPHAS))
    for memory, analogue in (("spiking", False), ("analogue", True))
]
N_IN, M, H, ORDER, WINDOW = 5, 4, 7, 3, 6.0


def unit(alphas: tuple[float, float, float] | None, analogue: bool, per_neuron: bool = False) -> SpikingLegendreUnit:
    """With weights at which everything fires, E_m included."""
    torch.manual_seed(0)
    layer = SpikingLegendreUnit(
        N_IN, M, H, ORDER, WINDOW, BETAS, THRESHOLDS, alphas, analogue, bias=True, per_neuron=per_neuron
    )
    with torch.no_grad():
        torch.nn.init.normal_(layer.recall.weight, std=0.4)
        layer.inputs.linear.bias.uniform_(-0.1, 0.3)
    return layer


def inputs(n_batch: int = 3, n_bins: int = 90) -> Tensor:
    return torch.poisson(torch.full((n_batch, n_bins, N_IN), 0.6), torch.Generator().manual_seed(1))


def reference(layer: SpikingLegendreUnit, x: Tensor, alphas: tuple[float, ...] | None, analogue: bool) -> Tensor:
    """The seed's equations with snnTorch's neurons and the matrices of one encoder at a time; hidden spikes (T, H)."""

    def population(i: int) -> torch.nn.Module:
        if alphas is None:
            return snntorch.Leaky(beta=BETAS[i], threshold=THRESHOLDS[i], reset_mechanism="subtract")
        return snntorch.Synaptic(alpha=alphas[i], beta=BETAS[i], threshold=THRESHOLDS[i], reset_mechanism="subtract")

    u, m, h = (population(i) for i in range(3))
    su, sm, sh = torch.zeros(1, M), torch.zeros(ORDER, M), torch.zeros(1, H)
    states = [(torch.zeros(1, n),) * (1 if alphas is None else 2) for n in (M, ORDER * M, H)]
    e_x, w_x = layer.inputs.linear.weight[:M], layer.inputs.linear.weight[M:]
    b_u, b_h = layer.inputs.linear.bias[:M], layer.inputs.linear.bias[M:]
    e_h, w_h = layer.around.weight[:M], layer.around.weight[M:]
    abar, bbar = (torch.tensor(v, dtype=torch.float32) for v in legendre_matrices(ORDER, WINDOW))
    values, rows = torch.zeros(ORDER, M), []
    for row in x:
        su, *states[0] = u(row @ e_x.T + b_u + sh @ e_h.T + sm.reshape(1, -1) @ layer.recall.weight.T, *states[0])
        held = values if analogue else sm
        arriving = torch.stack([abar @ held[:, j] + bbar * su[0, j] for j in range(M)], 1)
        if analogue:
            values, sm = arriving, torch.round(arriving * 256) / 256
        else:
            sm, *states[1] = m(arriving.reshape(1, -1), *states[1])
            sm = sm.reshape(ORDER, M)
        sh, *states[2] = h(row @ w_x.T + b_h + sh @ w_h.T + sm.reshape(1, -1) @ layer.read.weight.T, *states[2])
        rows.append(sh[0])
    return torch.stack(rows)


@pytest.mark.parametrize(("alphas", "analogue"), VARIANTS)
def test_spikes_are_those_of_snntorch(alphas: tuple[float, float, float] | None, analogue: bool) -> None:
    layer, x = unit(alphas, analogue).eval(), inputs(1)
    with torch.no_grad():
        want = reference(layer, x[0], alphas, analogue)
        got, _ = Layer.scan(layer, x, layer.initial_state(1))
    assert 0.05 < float(want.mean()) < 0.7
    assert torch.equal(got[0], want)


@pytest.mark.parametrize(("alphas", "analogue"), VARIANTS)
def test_compiled_scan_is_step_bit_for_bit(alphas: tuple[float, float, float] | None, analogue: bool) -> None:
    layer, x = unit(alphas, analogue, per_neuron=True).eval(), inputs()
    layer.finalise(15.0, 1.0)
    with torch.no_grad():
        _, state = layer.scan(x[:, :30], layer.initial_state(3))
        want, last = Layer.scan(layer, x[:, 30:], state)
        got, again = layer.scan(x[:, 30:], state)
    assert torch.equal(got, want)
    assert list(again) == list(last)
    assert all(torch.equal(again[name], value) for name, value in last.items())


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize(("alphas", "analogue"), VARIANTS)
def test_gradients_of_the_compiled_scan_are_those_of_autograd(
    alphas: tuple[float, float, float] | None, analogue: bool, per_neuron: bool
) -> None:
    layer, x = unit(alphas, analogue, per_neuron).train(), inputs(2, 25)
    want, got = gradients(layer, x, scanned=False), gradients(layer, x, scanned=True)
    for name, value in want.items():
        assert value.abs().max() > 1e-3, name
        torch.testing.assert_close(got[name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()), msg=name)


@pytest.mark.parametrize(("alphas", "analogue"), VARIANTS)
def test_rounded_weights_are_those_from_before_but_for_the_last_bits(
    alphas: tuple[float, float, float] | None, analogue: bool
) -> None:
    layer = unit(alphas, analogue)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.finalise(15.0, 1.0)
    changed = [name for name, value in layer.state_dict().items() if not torch.equal(value, before[name])]
    assert set(changed) <= {
        "inputs.linear.weight",
        "inputs.linear.bias",
        *(f"{w}.weight" for w in ("around", "recall", "read")),
    }
    for name in changed:
        torch.testing.assert_close(layer.state_dict()[name], before[name], rtol=0, atol=2e-3 if analogue else 1e-5)


def test_cuba_neurons_are_snntorchs_synaptic() -> None:
    layer, reference = CubaLif(6, 0.6, 0.8, 0.5, "subtract"), snntorch.Synaptic(alpha=0.6, beta=0.8, threshold=0.5)
    x = 0.4 * torch.randn(1, 200, 6, generator=torch.Generator().manual_seed(0))
    state, want = (torch.zeros(1, 6), torch.zeros(1, 6)), []
    for t in range(200):
        spikes, *state = reference(x[:, t], *state)
        want.append(spikes)
    with torch.no_grad():
        scanned, last = layer.scan(x, layer.initial_state(1))
        stepped, last_stepped = Layer.scan(layer, x, layer.initial_state(1))
    assert 0.05 < float(stepped.mean()) < 0.6
    assert torch.equal(stepped, torch.stack(want, 1))
    assert torch.equal(scanned, stepped)
    assert list(last) == list(last_stepped)
    assert all(torch.equal(last[name], value) for name, value in last_stepped.items())


@torch.no_grad()
def test_initial_weights_are_the_published_ones() -> None:
    torch.manual_seed(0)
    layer = SpikingLegendreUnit(96, 70, 120, 7, 10.0, BETAS, THRESHOLDS)
    assert layer.inputs.linear._parameters["bias"] is None
    assert not layer.recall.weight.any()
    e_x, w_x = layer.inputs.linear.weight.split([70, 120])
    assert float(e_x.abs().max()) == pytest.approx((3 / 96) ** 0.5, rel=0.01)
    assert float(e_x.std()) == pytest.approx(96**-0.5, rel=0.05)
    assert float(w_x.std()) == pytest.approx((2 / (96 + 120)) ** 0.5, rel=0.05)
    assert float(layer.read.weight.std()) == pytest.approx((2 / (490 + 120)) ** 0.5, rel=0.05)
