"""Recurrent synaptic neurons against their equations, and their compiled loops against autograd."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.learned_decay import LearnedDecay
from bmi_decoder.layers.synaptic import RecurrentSynapticLif
from bmi_decoder.layers.synaptic_readout import SynapticReadout
from tests.layers.scans import gradients

ORDERS = [pytest.param(True, id="delayed"), pytest.param(False, id="direct")]


def neurons(delayed: bool, n: int = 6) -> RecurrentSynapticLif:
    torch.manual_seed(0)
    layer = RecurrentSynapticLif(4, n, tau_membrane=3.0, tau_synapse=1.5, input_rate=0.3, delayed=delayed, bias=True)
    with torch.no_grad():
        layer.inputs.linear.weight.mul_(4)
        layer.recurrent.weight.mul_(4)
        layer.inputs.linear.bias.uniform_(-0.5, 0.5)
        layer.membrane_decay.p.copy_(torch.linspace(-1, 2, n))
        layer.synapse_decay.p.copy_(torch.linspace(2, -1, n))
    return layer


def spikes(n_batch: int = 3, n_bins: int = 80, n: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(n_batch, n_bins, n, generator=generator) < 0.4).float()


@pytest.mark.parametrize("delayed", ORDERS)
def test_trace_follows_the_equations(delayed: bool) -> None:
    layer, x = neurons(delayed).eval(), spikes(1)[0]
    w, b, r = (
        v.detach().double() for v in (layer.inputs.linear.weight, layer.inputs.linear.bias, layer.recurrent.weight)
    )
    dm = torch.exp(-1 / (3.0 * torch.nn.functional.softplus(torch.linspace(-1, 2, 6).double())))
    ds = torch.exp(-1 / (1.5 * torch.nn.functional.softplus(torch.linspace(2, -1, 6).double())))
    s, u, i = (torch.zeros(6).double() for _ in range(3))
    want = []
    for row in x.double():
        after = ds * i + w @ row + b + r @ s
        if delayed:
            want.append(s)
            s = (u > 1).double()
            u = (dm * u + (1 - dm) * i) * (1 - s)
        else:
            u = (dm * u + (1 - dm) * after) * (1 - s)
            s = (u > 1).double()
            want.append(s)
        i = after
    with torch.no_grad():
        got, state = Layer.scan(layer, x[None], layer.initial_state(1))
    assert 0.03 < float(torch.stack(want).mean()) < 0.6
    assert torch.equal(got[0].double(), torch.stack(want))
    torch.testing.assert_close(state["membrane"][0].double(), u, rtol=0, atol=1e-5)


@pytest.mark.parametrize("delayed", ORDERS)
def test_compiled_scan_is_step_bit_for_bit(delayed: bool) -> None:
    layer, x = neurons(delayed).eval(), spikes()
    layer.finalise(1.0, 1.0)
    with torch.no_grad():
        _, state = layer.scan(x[:, :30], layer.initial_state(3))
        want, last = Layer.scan(layer, x[:, 30:], state)
        got, again = layer.scan(x[:, 30:], state)
    assert torch.equal(got, want)
    assert all(torch.equal(again[name], value) for name, value in last.items())


@pytest.mark.parametrize("delayed", ORDERS)
def test_gradients_of_the_compiled_scan_are_those_of_autograd(delayed: bool) -> None:
    layer, x = neurons(delayed).train(), spikes(2, 25)
    want, got = gradients(layer, x, scanned=False), gradients(layer, x, scanned=True)
    for name, value in want.items():
        assert value.abs().max() > 1e-3, name
        torch.testing.assert_close(got[name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()), msg=name)


def test_decays_are_of_the_time_constants() -> None:
    decay = LearnedDecay(torch.tensor([2.0, 5.0]))
    want = [math.exp(-1 / (tau * math.log1p(math.e))) for tau in (2.0, 5.0)]
    torch.testing.assert_close(decay(), torch.tensor(want))
    with torch.no_grad():
        decay.p.add_(1)
    torch.testing.assert_close(decay.eval()(), decay.train()())
    assert float(decay()[0].detach()) > want[0]
    with pytest.raises(ValueError, match="above 0"):
        LearnedDecay(torch.tensor([0.0]))


def test_membranes_start_with_half_a_threshold_of_fluctuation() -> None:
    """Without spikes of their own, at the input rate that the weights were made for."""
    torch.manual_seed(0)
    layer = RecurrentSynapticLif(96, 400, tau_membrane=5.0, tau_synapse=2.5, input_rate=0.05, delayed=True).eval()
    with torch.no_grad():
        layer.recurrent.weight.zero_()
        x = (torch.rand(1, 1500, 96, generator=torch.Generator().manual_seed(0)) < 0.05).float()
        state, u = layer.initial_state(1), []
        for t in range(1500):
            _, state = layer.step(x[:, t], state)
            u.append(state["membrane"])
    assert float(torch.stack(u)[100:].std(0).mean()) == pytest.approx(0.5 * 0.9**0.5, rel=0.15)


@pytest.mark.parametrize("delayed", ORDERS)
def test_readout_is_the_mean_of_its_heads(delayed: bool) -> None:
    torch.manual_seed(0)
    layer = SynapticReadout(5, 2, [(1.0, 2.0), (3.0, 4.0)], delayed).eval()
    layer.scale_output(torch.tensor([2.0, 3.0]), torch.tensor([0.5, -1.0]))
    x = spikes(1, 40, 5)
    heads = []
    for head, (tau_s, tau_m) in enumerate([(1.0, 2.0), (3.0, 4.0)]):
        ds, dm = (math.exp(-1 / (tau * math.log1p(math.e))) for tau in (tau_s, tau_m))
        w = layer.inputs.linear.weight.detach()[2 * head : 2 * head + 2]
        i, y, rows = torch.zeros(2), torch.zeros(2), []
        for row in x[0]:
            after = ds * i + w @ row
            y = dm * y + (1 - dm) * (i if delayed else after)
            i = after
            rows.append(y)
        heads.append(torch.stack(rows))
    want = (heads[0] + heads[1]) / 2 + torch.tensor([0.5, -1.0])
    with torch.no_grad():
        for scan in (layer.scan, lambda x, s: Layer.scan(layer, x, s)):
            torch.testing.assert_close(scan(x, layer.initial_state(1))[0][0], want, rtol=0, atol=1e-5)


def test_time_constants_may_be_whole_numbers() -> None:
    layer = RecurrentSynapticLif(4, 3, tau_membrane=3, tau_synapse=1, input_rate=1, delayed=False)
    assert layer.membrane_decay.p.dtype == torch.float32
