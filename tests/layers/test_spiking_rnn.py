"""Bipolar integrate-and-fire neurons: their rules in exact fractions, and no difference from the quantised network."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.quantised_rnn import QuantisedRnn
from bmi_decoder.layers.spiking_rnn import SpikingRnn
from tests.layers.bipolar import fractions, quantised, settle_network

N_IN, N = 5, 8
KINDS = [(16, False, 32, True), (32, True, 16, False), (2, False, 2, True), (4, True, 64, True), (32, False, 32, False)]


def twins(
    sizes: tuple[int, ...] = (6,), kind: tuple[int, bool, int, bool] = KINDS[0], seed: int = 0, gain: float = 1.0
) -> tuple[QuantisedRnn, SpikingRnn]:
    torch.manual_seed(seed)
    layer, spiking = (cls(N_IN, sizes, N, *kind) for cls in (QuantisedRnn, SpikingRnn))
    layer.calibrate(counts(1, 200)[0])
    with torch.no_grad():
        for p in layer.parameters():
            if p.ndim > 1:
                p.mul_(gain)
    layer.fold_into(Dense(N, 2))
    layer.finalise(20.0, 1.0)
    spiking.load_state_dict(layer.state_dict())
    assert isinstance(spiking, SpikingRnn)
    return layer.eval(), spiking.eval()


def counts(n_batch: int = 2, n_bins: int = 30, seed: int = 1) -> Tensor:
    return torch.poisson(torch.full((n_batch, n_bins, N_IN), 1.5), generator=torch.Generator().manual_seed(seed)).clamp(
        max=20
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(6,), (6, 4)])
@torch.no_grad()
def test_no_bin_differs_from_the_quantised_network(sizes: tuple[int, ...], kind: tuple[int, bool, int, bool]) -> None:
    values = set()
    for seed, gain in itertools.product(range(4), (0.5, 1.0, 4.0)):
        layer, spiking = twins(sizes, kind, seed, gain)
        x = counts(2, 30, seed)
        want, _ = layer.scan(x, layer.initial_state(2))
        got, state = spiking.scan(x, spiking.initial_state(2))
        stepped, _ = Layer.scan(spiking, x[:, :6], spiking.initial_state(2))
        assert torch.equal(got, want) and torch.equal(stepped, want[:, :6]) and torch.equal(state["h"], want[:, -1])
        values |= set(want.unique().tolist())
    assert len(values) > min(8, kind[2] - 1)


def currents(weight: list, bias: list, inputs: list) -> list:
    return [b + sum(w * v for w, v in zip(row, inputs, strict=True)) for row, b in zip(weight, bias, strict=True)]


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS[:2])
def test_spikes_and_inner_steps_follow_the_rules(kind: tuple[int, bool, int, bool]) -> None:
    _, spiking = twins((6, 4), kind)
    x = counts(1, 12)
    settled = spiking._settled(x, spiking.initial_state(1))
    used = spiking.inner_steps(x, x, spiking.initial_state(1))[0].tolist()
    weights = [fractions(linear.weight.numpy()) for linear, _ in spiking.stages()]
    biases = [fractions(linear.bias.numpy()) for linear, _ in spiking.stages()]
    limits = [(quantiser.low, quantiser.high) for _, quantiser in spiking.stages()]
    recurrent = fractions(spiking.recurrent.weight.numpy())
    h, mixed = [0] * N, False
    for t, row in enumerate(fractions(x[0].numpy())):
        first, past = currents(weights[0], biases[0], row), currents(recurrent, biases[2], h)
        traces, history = settle_network([first, biases[1], past], weights[1:], limits)
        assert used[t] == len(history)
        for i, stage in enumerate(settled):
            assert stage.trace[0, t].tolist() == traces[i]
            want = np.zeros((max(len(history), spiking.bounds[i]), stage.trace.shape[2]))
            want[: len(history)] = [fired[i] for fired in history]
            assert not want[spiking.bounds[i] :].any()
            assert np.array_equal(stage.spikes[0, t].numpy(), want[: spiking.bounds[i]])
            mixed |= {-1, 1} <= set(want.ravel())
        assert traces[0] == [quantised(current, *limits[0]) for current in first]
        h = traces[-1]
    assert mixed, "spikes of both signs"


@torch.no_grad()
def test_the_bound_holds_when_everything_fires_at_the_worst_time() -> None:
    """A stage that climbs to its top on early spikes and is then driven to its bottom by late ones."""
    spiking = SpikingRnn(1, (2,), 1, 16, False, 32, True).eval()
    for p in spiking.parameters():
        p.zero_()
    for _, quantiser in spiking.stages():
        quantiser.step.fill_(1)
    spiking.first.linear.weight.copy_(torch.tensor([[5.0], [15.0]]))
    spiking.deeper[0].weight.copy_(torch.tensor([[100.0, -60.0]]))  # up for five steps, then down for good
    assert spiking.bounds == [15, 15 + 31 - 1]
    steps = int(spiking.inner_steps(torch.ones(1, 1, 1), torch.empty(0), spiking.initial_state(1)))
    h, _ = spiking.scan(torch.ones(1, 1, 1), spiking.initial_state(1))
    assert float(h) == -16
    assert 31 <= steps <= spiking.bounds[-1]


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_no_bin_takes_longer_than_the_bound(kind: tuple[int, bool, int, bool]) -> None:
    for seed in range(10):
        _, spiking = twins((6, 4), kind, seed, gain=8.0)
        start = spiking.initial_state(2)
        for stage, bound in zip(spiking._settled(counts(2, 60, seed), start), spiking.bounds, strict=True):
            assert stage.spikes.shape[2] == bound
            final = stage.trace - stage.spikes.sum(2)
            assert not final.any() and int(stage.used.max()) <= bound


@torch.no_grad()
def test_counts_spikes_per_inner_step_and_one_product_with_the_past() -> None:
    _, spiking = twins()
    x, start = counts(1, 50), spiking.initial_state(1)
    y, _ = spiking.scan(x, start)
    used = int(spiking.inner_steps(x, y, start).sum())
    arriving, past = spiking.synapses(x, y, start)
    settled = spiking._settled(x, start)[0]
    assert arriving.spiking and arriving.dense == 6 * N * int(settled.used.sum())
    assert arriving.effective == N * int(settled.spikes.abs().sum()), "no weight is zero here"
    assert int(settled.used.sum()) <= used
    assert not past.spiking and past.dense == 50 * N * N
    assert past.effective == N * int(torch.count_nonzero(y[:, :-1]))
    rows = spiking.activations(x, y, start)
    assert set(rows.unique().tolist()) == {-1.0, 0.0, 1.0}


def test_trains_as_the_quantised_network() -> None:
    layer, spiking = twins()
    layer.train(), spiking.train()
    x = counts()
    found = []
    for network in (layer, spiking):
        y, _ = network.scan(x, network.initial_state(2))
        y.square().sum().backward()
        found.append([y.detach(), *(p.grad for p in network.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))  # type: ignore[arg-type]
