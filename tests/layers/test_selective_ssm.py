"""The selective state space and what stands around it, against their equations and against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bmi_decoder.layers.causal_conv import CausalConv
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.mamba import Mamba
from bmi_decoder.layers.rms_norm import RmsNorm
from bmi_decoder.layers.selective_ssm import SelectiveSsm

N, N_STATE, RANK = 6, 5, 2


def state_space() -> SelectiveSsm:
    torch.manual_seed(0)
    layer = SelectiveSsm(N, N_STATE, RANK, (0.02, 0.5))
    with torch.no_grad():
        layer.mix.linear.weight.mul_(3)
        layer.skip.uniform_(-1, 1)
        layer.log_rates.add_(0.3 * torch.randn(N * N_STATE))
    return layer


def rows(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_recurrence_follows_the_equations() -> None:
    layer, x = state_space(), rows(1, 120, N)
    w, v, bias = (
        p.detach().double()
        for p in (layer.mix.linear.weight, layer.step_size.linear.weight, layer.step_size.linear.bias)
    )
    a, skip = -torch.exp(layer.log_rates.detach().double()).view(N, N_STATE), layer.skip.detach().double()
    h, want = torch.zeros(N, N_STATE).double(), []
    for u in x[0].double():
        low, b, c = (w @ u).split([RANK, N_STATE, N_STATE])
        d = torch.log1p(torch.exp(v @ low + bias))
        h = torch.exp(d[:, None] * a) * h + (d * u)[:, None] * b
        want.append(h @ c + skip * u)
    with torch.no_grad():
        for scan in (layer.scan, lambda x, state: Layer.scan(layer, x, state)):
            y, state = scan(x, layer.initial_state(1))
            torch.testing.assert_close(y[0].double(), torch.stack(want), rtol=0, atol=1e-5)
            torch.testing.assert_close(state["h"][0].double(), h, rtol=0, atol=1e-5)


def test_compiled_scan_goes_on_from_a_state() -> None:
    layer, x = state_space(), rows(3, 50, N)
    with torch.no_grad():
        want, last = layer.scan(x, layer.initial_state(3))
        first, state = layer.scan(x[:, :17], layer.initial_state(3))
        second, state = layer.scan(x[:, 17:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), want, rtol=0, atol=1e-6)
    torch.testing.assert_close(state["h"], last["h"], rtol=0, atol=1e-6)


def test_gradients_of_the_compiled_scan_are_those_of_autograd() -> None:
    results = []
    for scanned in (True, False):
        layer, x, h = state_space(), rows(2, 30, N).requires_grad_(), rows(2, N, N_STATE).requires_grad_()
        y, _ = layer.scan(x, {"h": h}) if scanned else Layer.scan(layer, x, {"h": h})
        (y * rows(2, 30, N).flip(1)).sum().backward()
        results.append({"x": x.grad, "h": h.grad, **{name: p.grad for name, p in layer.named_parameters()}})
    for name, want in results[1].items():
        assert want is not None and want.abs().max() > 1e-3, name
        torch.testing.assert_close(results[0][name], want, rtol=1e-3, atol=1e-4 * float(want.abs().max()), msg=name)


def test_starts_with_the_published_values() -> None:
    torch.manual_seed(0)
    layer = SelectiveSsm(500, 16, 4, (1e-3, 1e-1))
    rates = -torch.exp(layer.log_rates.detach()).view(500, 16)
    torch.testing.assert_close(rates, -torch.arange(1.0, 17).expand(500, 16))
    steps = torch.nn.functional.softplus(layer.step_size.linear.bias.detach())
    assert 1e-3 <= steps.min() < 2e-3 and 5e-2 < steps.max() <= 1.001e-1
    assert float(steps.log().mean().exp()) == pytest.approx(1e-2, rel=0.2), "log-uniform"
    with pytest.raises(ValueError, match="step sizes must rise from above 0"):
        SelectiveSsm(4, 2, 1, (0.1, 0.01))


@pytest.mark.parametrize("width", [2, 4])
def test_convolution_is_torchs_and_causal(width: int) -> None:
    layer, x = CausalConv(N, width), rows(2, 40, N)
    padded = torch.nn.functional.pad(x.transpose(1, 2), (width - 1, 0))
    want = torch.nn.functional.conv1d(padded, layer.weight[:, None], layer.bias, groups=N).transpose(1, 2)
    with torch.no_grad():
        for scan in (layer.scan, lambda x, state: Layer.scan(layer, x, state)):
            y, state = scan(x, layer.initial_state(2))
            torch.testing.assert_close(y, want, rtol=0, atol=1e-5)
            assert torch.equal(state["past"], x[:, 1 - width :])


def test_rms_norm_is_torchs() -> None:
    layer, x = RmsNorm(N), 3 * rows(2, 40, N)
    with torch.no_grad():
        layer.weight.uniform_()
        want = torch.nn.functional.rms_norm(x, (N,), layer.weight, eps=1e-5)
        torch.testing.assert_close(layer(x), want)


def test_mamba_block_follows_its_equations() -> None:
    torch.manual_seed(0)
    block, x = Mamba(N, expand=2, n_state=3, conv_width=4, step_range=(0.01, 0.1)), rows(2, 30, N)
    p = dict(block.named_parameters())
    silu = torch.nn.functional.silu
    with torch.no_grad():
        inside = x @ p["layers.inner.layers.state_space.layers.dense.linear.weight"].T
        padded = torch.nn.functional.pad(inside.transpose(1, 2), (3, 0))
        conv = "layers.inner.layers.state_space.layers.conv."
        u = torch.nn.functional.conv1d(padded, p[conv + "weight"][:, None], p[conv + "bias"], groups=2 * N)
        ssm = block.get_submodule("layers.inner.layers.state_space.layers.ssm")
        assert isinstance(ssm, SelectiveSsm)
        y, _ = Layer.scan(ssm, silu(u).transpose(1, 2), ssm.initial_state(2))
        gate = silu(x @ p["layers.inner.layers.gate.layers.dense.linear.weight"].T)
        want = (y * gate) @ p["layers.out.linear.weight"].T
        got, _ = block.scan(x, block.initial_state(2))
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)
