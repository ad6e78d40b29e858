"""Resonate-and-fire neurons against their equations: poles, one bin at a time, all bins at once, in the machine."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from bmi_decoder.layers.hippo import hippo_poles
from bmi_decoder.layers.layer import Layer, Stack
from bmi_decoder.layers.resonate_fire import ResonateFire
from bmi_decoder.layers.surrogate import multi_gaussian_spike
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from tests.layers.scans import gradients


def neurons(n_in: int = 8, n: int = 12, skip: bool = False) -> ResonateFire:
    torch.manual_seed(0)
    layer = ResonateFire(n_in, n, 3, (0.02, 1.0), bias=True, skip=skip, fluctuation=0.8, input_variance=0.24)
    with torch.no_grad():
        layer.resonators.log_rate.add_(torch.linspace(-0.5, 0.5, n))
    return layer


def spikes(n_batch: int, n_bins: int, n: int = 8) -> Tensor:
    return (torch.rand(n_batch, n_bins, n, generator=torch.Generator().manual_seed(1)) < 0.4).float()


@pytest.mark.parametrize("m", [1, 2, 7, 16])
def test_poles_are_eigenvalues_of_the_normal_part_of_hippo(m: int) -> None:
    """The matrix written out element by element, and a general eigenvalue solver."""
    a = np.zeros((m, m))
    for i in range(m):
        for j in range(i + 1):
            a[i, j] = -(i + 1) if i == j else -(((2 * i + 1) * (2 * j + 1)) ** 0.5)
    q = np.sqrt(np.arange(m) + 0.5)
    want = sorted(scipy.linalg.eigvals(a + np.outer(q, q)), key=lambda value: value.imag)
    for block in hippo_poles(3 * m, 3).reshape(3, m):
        np.testing.assert_allclose(block, want, atol=1e-9 * m)
    with pytest.raises(ValueError, match="cannot be cut into 3 blocks"):
        hippo_poles(3 * m + 1, 3)


def test_time_steps_start_between_their_limits() -> None:
    torch.manual_seed(0)
    a_re, a_im, eta = ResonateFire(2, 4000, 1000, (0.01, 0.5)).resonators().detach()
    assert 0.01 <= float(eta.min()) < 0.011 and 0.45 < float(eta.max()) <= 0.5
    assert float(eta.log().mean()) == pytest.approx(np.log((0.01 * 0.5) ** 0.5), abs=0.05)
    poles = np.exp(eta.double().numpy() * hippo_poles(4000, 1000))
    np.testing.assert_allclose(torch.complex(a_re, a_im).numpy(), poles, atol=1e-6)
    with pytest.raises(ValueError, match="limits of eta"):
        ResonateFire(2, 4, 1, (0.5, 0.1))


@pytest.mark.parametrize("skip", [False, True])
def test_trace_follows_the_equations(skip: bool) -> None:
    layer, x = neurons(12 if skip else 8, skip=skip).eval(), spikes(1, 300, 12 if skip else 8)
    p = {name: value.detach().double() for name, value in layer.named_parameters()}
    eta = p["resonators.log_eta"].exp()
    a = torch.exp(eta * torch.complex(-p["resonators.log_rate"].exp(), p["resonators.frequency"]))
    w = torch.complex(*p["inputs.linear.weight"].chunk(2))
    c = torch.complex(*p["inputs.linear.bias"].chunk(2))
    z, want = torch.zeros(12, dtype=torch.complex128), []
    for row in x[0].double():
        z = a * z + eta * (w @ row.to(w.dtype) + c)
        want.append((z.real > 1).double() + (row if skip else 0))
    with torch.no_grad():
        got, state = Layer.scan(layer, x, layer.initial_state(1))
        fired = layer.activations(x, got, layer.initial_state(1))
    assert torch.equal(got[0].double(), torch.stack(want))
    assert 0.05 < float(fired.mean()) < 0.6 and bool(((fired == 0) | (fired == 1)).all())
    torch.testing.assert_close(torch.complex(state["re"][0], state["im"][0]).to(z.dtype), z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_all_bins_at_once_are_the_steps_bit_for_bit(training: bool) -> None:
    """Over 2,000 bins; also while training, where numbers come from the learned parameters anew."""
    layer, x = neurons().train(training), spikes(2, 2000)
    layer.finalise(1.0, 1.0)
    with torch.no_grad():
        want, last = Layer.scan(layer, x, layer.initial_state(2))
        _, state = layer.scan(x[:, :30], layer.initial_state(2))
        got, again = layer.scan(x[:, 30:], state)
    assert torch.equal(got, want[:, 30:])
    assert all(torch.equal(again[name], value) for name, value in last.items())


def test_gradients_of_all_bins_at_once_are_those_of_the_steps() -> None:
    layer, x = neurons().train(), spikes(2, 60)
    want, got = gradients(layer, x, scanned=False), gradients(layer, x, scanned=True)
    for name, value in want.items():
        assert value.abs().max() > 1e-3, name
        torch.testing.assert_close(got[name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()), msg=name)


def test_surrogate_is_the_difference_of_gaussians() -> None:
    u = torch.linspace(-4, 4, 401).requires_grad_()
    y = multi_gaussian_spike(u)
    assert torch.equal(y, (u > 0).float())
    y.sum().backward()
    v = u.detach().double().numpy()
    want = 1.15 * np.exp(-(v**2) / 0.5) - 0.15 * (np.exp(-((v - 0.5) ** 2) / 18) + np.exp(-((v + 0.5) ** 2) / 18))
    np.testing.assert_allclose(u.grad.numpy(), want, atol=1e-6)  # type: ignore[union-attr]


def test_membranes_start_with_the_fluctuation_asked_for() -> None:
    torch.manual_seed(0)
    layer = ResonateFire(96, 400, 100, (0.1, 1.0), bias=True, fluctuation=0.4, input_variance=0.24).eval()
    with torch.no_grad():
        x = spikes(1, 3000, 96) - 0.4
        state, re = layer.initial_state(1), []
        for row in x.unbind(1):
            _, state = layer.step(row, state)
            re.append(state["re"][0])
        steady = torch.stack(re)[200:]
    assert float(steady.std(0).square().mean().sqrt()) == pytest.approx(0.4, rel=0.05)
    assert float(steady.mean(0).std()) == pytest.approx((1 / 3) ** 0.5, rel=0.1), "means are uniform in [-1, 1]"


def test_published_weights_have_lecuns_variance() -> None:
    torch.manual_seed(0)
    linear = ResonateFire(140, 128, 32, (0.004, 0.1)).inputs.linear
    assert float(linear.weight.detach().std()) == pytest.approx(140**-0.5, rel=0.02)
    assert linear._parameters["bias"] is None


def test_a_skip_needs_as_many_inputs_as_neurons() -> None:
    with pytest.raises(ValueError, match="as many inputs as neurons, got 8 and 12"):
        ResonateFire(8, 12, 3, (0.1, 1.0), skip=True)


def test_machine_fires_the_same_spikes_over_many_bins_through_skips() -> None:
    """Three layers, 20,000 bins: a single rounding apart would show."""
    torch.manual_seed(0)
    stack = Stack({"first": neurons(8, 12), "inner": neurons(12, 12, skip=True), "last": neurons(12, 12)}).eval()
    bound, step = stack.finalise(1.0, 1.0)
    assert (bound, step) == (1.0, 1.0)
    builder = Builder(8)
    builder.output(stack.lower(builder, builder.input()))
    x = spikes(1, 20_000)
    with torch.no_grad():
        want, _ = stack.scan(x, stack.initial_state(1))
    assert 0.05 < float(want.mean()) < 0.8
    assert np.array_equal(Executor(builder.build()).run(x[0].numpy()), want[0].numpy())
