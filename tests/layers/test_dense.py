from __future__ import annotations

import numpy as np
import pytest
import torch

from bmi_decoder.layers.dense import Dense

CASES = [
    pytest.param(1.0, 1.0, 96, id="spikes"),
    pytest.param(15.0, 1.0, 192, id="counts"),
    pytest.param(4.0, 0.0625, 96, id="filtered"),
    pytest.param(1.0, 1.0, 1, id="one input"),
]


def dense(n_in: int, n_out: int = 48, seed: int = 0, gain: float = 1.0) -> Dense:
    torch.manual_seed(seed)
    layer = Dense(n_in, n_out)
    with torch.no_grad():
        layer.linear.weight.mul_(gain)
        layer.linear.bias.mul_(gain)
    return layer


def inputs(bound: float, step: float, n_in: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = 0 if step == 1 else -round(bound / step)
    x = rng.integers(low, round(bound / step) + 1, (200, n_in)) * step
    x[0], x[1] = bound, (np.arange(n_in) % 2) * bound  # the largest sums
    return x.astype(np.float32)


def summed(layer: Dense, x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Bias and products added one after the other in float32, in a given order."""
    weight, bias = layer.linear.weight.detach().numpy(), layer.linear.bias.detach().numpy()
    terms = np.concatenate([x[:, None, :] * weight, np.broadcast_to(bias[:, None], (len(x), *bias.shape, 1))], -1)
    total = np.zeros(terms.shape[:-1], np.float32)
    for j in order:
        total = total + terms[..., j]
    assert total.dtype == np.float32
    return total


@pytest.mark.parametrize(("bound", "step", "n_in"), CASES)
@pytest.mark.parametrize("gain", [1.0, 37.0, 1e-4])
def test_sums_are_exact_in_any_order(bound: float, step: float, n_in: int, gain: float) -> None:
    layer = dense(n_in, gain=gain)
    layer.finalise(bound, step)
    x = inputs(bound, step, n_in)
    weight, bias = layer.linear.weight.detach().double(), layer.linear.bias.detach().double()
    want = (torch.from_numpy(x).double() @ weight.T + bias).numpy()
    rng = np.random.default_rng(1)
    worst = np.argsort(-np.abs(np.append(weight[0].numpy(), bias[0])))
    for order in (
        np.arange(n_in + 1),
        np.arange(n_in + 1)[::-1],
        worst,
        *(rng.permutation(n_in + 1) for _ in range(3)),
    ):
        assert np.array_equal(summed(layer, x, order), want)
    with torch.no_grad():
        assert np.array_equal(layer.linear(torch.from_numpy(x)).numpy(), want)


def test_without_finalise_the_order_matters() -> None:
    layer, x = dense(96), inputs(1.0, 1.0, 96)
    orders = np.arange(97), np.random.default_rng(1).permutation(97)
    assert not np.array_equal(*(summed(layer, x, order) for order in orders))


@pytest.mark.parametrize(("bound", "step", "n_in"), CASES)
def test_rounding_is_small_and_done_once(bound: float, step: float, n_in: int) -> None:
    layer, before = dense(n_in), dense(n_in)
    layer.finalise(bound, step)
    largest = float((before.linear.weight.abs().sum(1) * bound + before.linear.bias.abs()).max().detach())
    for name, value in layer.linear.named_parameters():
        change = (value - before.linear.get_parameter(name)).abs().max()
        assert 0 < change <= largest * 2**-21 / step
    rounded = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.finalise(bound, step)
    assert all(torch.equal(value, rounded[name]) for name, value in layer.state_dict().items())


@pytest.mark.parametrize(("bound", "step"), [(float("inf"), 1.0), (4.0, 0.0), (float("inf"), 0.0)])
def test_real_valued_input_rounds_nothing(bound: float, step: float) -> None:
    layer, before = dense(96), dense(96)
    assert layer.finalise(bound, step) == (float("inf"), 0.0)
    assert torch.equal(layer.linear.weight, before.linear.weight)


def test_zero_weights_stay_zero() -> None:
    layer = dense(8, gain=0.0)
    layer.finalise(1.0, 1.0)
    assert not layer.linear.weight.any()
    assert not layer.linear.bias.any()


def test_one_output_of_another_size_does_not_coarsen_the_others() -> None:
    """As where one kinematic column hardly moves far from zero: its bias is huge beside its weights."""
    layer, alone = dense(96, n_out=3), dense(96, n_out=3)
    with torch.no_grad():
        layer.linear.bias[2] = 5e12
    layer.finalise(1.0, 1.0)
    alone.finalise(1.0, 1.0)
    assert torch.equal(layer.linear.weight[:2], alone.linear.weight[:2])
    assert torch.equal(layer.linear.bias[:2], alone.linear.bias[:2])
