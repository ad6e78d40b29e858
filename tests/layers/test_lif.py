"""Spiking neurons against snnTorch, and their compiled loops against one step at a time."""

from __future__ import annotations

import pytest
import snntorch
import torch
from torch import Tensor

from bmi_decoder.layers.lif import LeakyReadout, Lif

RESETS = ("subtract", "none", "zero")


def currents(n_batch: int = 3, n_bins: int = 120, n: int = 6, seed: int = 0) -> Tensor:
    return 0.5 * torch.randn(n_batch, n_bins, n, generator=torch.Generator().manual_seed(seed))


def lif(reset: str, per_neuron: bool, n: int = 6) -> Lif:
    layer = Lif(n, beta=0.9, threshold=0.5, reset=reset, per_neuron=per_neuron)  # type: ignore[arg-type]
    if per_neuron:
        with torch.no_grad():
            layer.beta.copy_(torch.linspace(0.2, 1.0, n))
            layer.threshold.copy_(torch.linspace(1.0, 0.2, n))
    return layer


def stepped(layer: Lif | LeakyReadout, x: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Output and membrane of every bin, one `step` at a time."""
    outputs, membranes = [], []
    for t in range(x.shape[1]):
        y, state = layer.step(x[:, t], state)
        outputs.append(y)
        membranes.append(state["membrane"])
    return torch.stack(outputs, 1), torch.stack(membranes, 1)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("beta", [0.9, 1.7, -0.3])
def test_trace_is_that_of_snntorch(reset: str, per_neuron: bool, beta: float) -> None:
    """A beta outside [0, 1], where learning may lead, counts as the nearest limit in both."""
    layer = lif(reset, per_neuron)
    with torch.no_grad():
        layer.beta.mul_(beta / 0.9)
    reference = snntorch.Leaky(
        beta=layer.beta.detach(), threshold=layer.threshold.detach(), reset_mechanism=reset, learn_beta=True
    )
    x = currents()
    membrane = torch.zeros(3, 6)
    spikes, membranes = [], []
    with torch.no_grad():
        for t in range(x.shape[1]):
            spike, membrane = reference(x[:, t], membrane)
            spikes.append(spike)
            membranes.append(membrane)
        got_spikes, got_membranes = stepped(layer, x, layer.initial_state(3))
    want = torch.stack(spikes, 1)
    assert 0.02 < want.mean() < 0.9
    assert torch.equal(got_spikes, want)
    assert torch.equal(got_membranes, torch.stack(membranes, 1))


@pytest.mark.parametrize("training", [False, True])
def test_spike_needs_more_than_the_threshold_and_resets_one_bin_later(training: bool) -> None:
    layer = Lif(2, beta=1.0, threshold=0.5, reset="subtract")
    above = torch.nextafter(torch.tensor(0.5), torch.tensor(1.0))
    x = torch.stack([torch.tensor([0.5, above]), torch.zeros(2)])[None]
    with torch.set_grad_enabled(training):
        spikes, membranes = stepped(layer, x, layer.initial_state(1))
        assert torch.equal(layer.scan(x, layer.initial_state(1))[0], spikes)
    assert spikes[0].tolist() == [[0, 1], [0, 0]]
    assert membranes[0].tolist() == [[0.5, float(above)], [0.5, float(above) - 0.5]]


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("per_neuron", [False, True])
def test_compiled_scan_is_step_bit_for_bit(reset: str, per_neuron: bool) -> None:
    layer, x = lif(reset, per_neuron), currents()
    state = {"membrane": 0.7 * torch.ones(3, 6)}
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            want, membranes = stepped(layer, x, state)
            got, last = layer.scan(x, state)
        assert torch.equal(got, want)
        assert torch.equal(last["membrane"], membranes[:, -1])
        transposed, _ = layer.scan(x.transpose(0, 1).contiguous().transpose(0, 1), state)
        assert torch.equal(transposed, want), "the result depends on the memory layout"


def gradients(layer: Lif | LeakyReadout, scanned: bool, seed: int = 3) -> dict[str, Tensor]:
    """Gradients of a loss on outputs and on the last membrane, through `scan` or through autograd and `step`."""
    n = 6
    x = currents(n_batch=2, n_bins=25, n=n).requires_grad_()
    initial = torch.linspace(-0.5, 1.0, 2 * n).reshape(2, n).requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    weight, last_weight = torch.randn(2, 25, n, generator=generator), torch.randn(2, n, generator=generator)
    layer.zero_grad()
    if scanned:
        y, state = layer.scan(x, {"membrane": initial})
        last = state["membrane"]
    else:
        y, membranes = stepped(layer, x, {"membrane": initial})
        last = membranes[:, -1]
    ((y * weight).sum() + (last * last_weight).sum()).backward()
    found = {"input": x.grad, "initial state": initial.grad, "beta": layer.beta.grad, "threshold": layer.threshold.grad}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("per_neuron", [False, True])
def test_gradients_of_the_compiled_scan_are_those_of_autograd(reset: str, per_neuron: bool) -> None:
    layer = lif(reset, per_neuron)
    want, got = gradients(layer, scanned=False), gradients(layer, scanned=True)
    assert list(got) == ["input", "initial state", "beta", "threshold"]
    for name, value in want.items():
        assert value.abs().max() > 1e-3
        assert got[name].shape == value.shape
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-4 * float(value.abs().max()), msg=name)


@pytest.mark.parametrize("reset", RESETS)
def test_gradients_are_those_of_snntorch(reset: str) -> None:
    layer = lif(reset, per_neuron=False)
    reference = snntorch.Leaky(
        beta=0.9, threshold=0.5, reset_mechanism=reset, learn_beta=True, learn_threshold=True,
        spike_grad=snntorch.surrogate.atan(alpha=2.0),
    )  # fmt: skip
    x, again = currents(2, 25).requires_grad_(), currents(2, 25).requires_grad_()
    layer.scan(x, layer.initial_state(2))[0].square().mean().backward()
    membrane, spikes = torch.zeros(2, 6), []
    for t in range(25):
        spike, membrane = reference(again[:, t], membrane)
        spikes.append(spike)
    torch.stack(spikes, 1).square().mean().backward()
    pairs = ((x, again), (layer.beta, reference.beta), (layer.threshold, reference.threshold))
    for ours, theirs in pairs:
        assert theirs.grad.abs().max() > 1e-5
        torch.testing.assert_close(
            ours.grad, theirs.grad.reshape(ours.grad.shape), rtol=1e-4, atol=1e-4 * float(theirs.grad.abs().max())
        )


def test_a_beta_beyond_its_limit_gets_no_gradient() -> None:
    layer = lif("subtract", per_neuron=False)
    with torch.no_grad():
        layer.beta.fill_(1.2)
    assert gradients(layer, scanned=True)["beta"] == 0


def test_readout_is_a_leaky_integral() -> None:
    layer, x = LeakyReadout(6, beta=0.8, threshold=0.5), currents()
    state = {"membrane": torch.ones(3, 6)}
    with torch.no_grad():
        want, membranes = stepped(layer, x, state)
        got, last = layer.scan(x, state)
    assert torch.equal(want, membranes)
    assert torch.equal(got, want)
    assert torch.equal(last["membrane"], want[:, -1])
    membrane = torch.ones(3, 6, dtype=torch.float64)
    for t in range(x.shape[1]):
        membrane = 0.8 * membrane + x[:, t]
    torch.testing.assert_close(got[:, -1].double(), membrane, rtol=0, atol=1e-5)


def test_gradients_of_the_readout_are_those_of_autograd() -> None:
    layer = LeakyReadout(6, beta=0.8, threshold=0.5)
    want, got = gradients(layer, scanned=False), gradients(layer, scanned=True)
    assert list(want) == list(got) == ["input", "initial state", "beta"], "the threshold takes no part"
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-4 * float(value.abs().max()))
