"""The instructions of attention and state-space decoders against their sums, written out in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from bmi_decoder.machine.builder import Builder
from tests.machine.support import executor, normal


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(("heads", "n_key", "n_value"), [(1, 1, 1), (2, 3, 5), (4, 16, 8)])
def test_linear_attention_is_the_decayed_sum_over_the_past(
    heads: int, n_key: int, n_value: int, shifted: bool, normalised: bool
) -> None:
    n_bins, rng = 60, np.random.default_rng(0)
    spikes = (rng.random((n_bins, 2, heads, n_key)) < 0.5).astype(np.float32)
    value, decay = normal(n_bins, heads, n_value), np.linspace(0.5, 0.95, heads)
    x = np.hstack([spikes.reshape(n_bins, -1), value.reshape(n_bins, -1)])
    builder = Builder(x.shape[1])
    y = executor(builder, builder.linear_attention(builder.input(), heads, n_key, n_value, decay, shifted, normalised))
    query, key = (spikes[:, i].astype(np.float64) + shifted for i in range(2))
    want = np.zeros((n_bins, heads, n_value))
    for t in range(n_bins):
        for h in range(heads):
            weight = decay[h] ** (t - np.arange(t + 1)) * (key[: t + 1, h] @ query[t, h])
            want[t, h] = weight @ value[: t + 1, h] / (weight.sum() + 1e-6 if normalised else 1)
    np.testing.assert_allclose(y.run(x), want.reshape(n_bins, -1), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("width", [2, 3, 4, 7])
@pytest.mark.parametrize("n", [1, 5])
def test_causal_convolution_is_that_of_numpy(width: int, n: int) -> None:
    x, taps, bias = normal(40, n), normal(width, n, seed=1), normal(n, seed=2)
    builder = Builder(n)
    past = builder.state("past", np.zeros((width - 1, n)))
    y = executor(builder, builder.causal_conv(builder.input(), taps, bias, past)).run(x)
    want = [np.convolve(x[:, i].astype(np.float64), taps[::-1, i])[:40] + bias[i] for i in range(n)]
    np.testing.assert_allclose(y, np.transpose(want), rtol=0, atol=1e-5)


def test_nan_leaves_the_convolution_with_its_window() -> None:
    builder = Builder(1)
    x = np.ones((20, 1), np.float32)
    x[7] = np.nan
    past = builder.state("past", np.zeros(4))
    y = executor(builder, builder.causal_conv(builder.input(), np.full((5, 1), 0.2), [0.0], past)).run(x)[:, 0]
    assert np.flatnonzero(np.isnan(y)).tolist() == [7, 8, 9, 10, 11]


@pytest.mark.parametrize(("n", "n_state"), [(1, 1), (5, 3), (9, 16)])
def test_selective_scan_is_its_recurrence(n: int, n_state: int) -> None:
    n_bins = 80
    x = normal(n_bins, 2 * n + 2 * n_state)
    rates, skip = -np.exp(normal(n, n_state, seed=1)), normal(n, seed=2)
    builder = Builder(x.shape[1])
    row, h = builder.input(), builder.state("h", np.zeros((n, n_state)))
    u, delta, mixing = row.cut(n, n, 2 * n_state)
    y = executor(builder, builder.selective_scan(u, delta, mixing, h, rates, skip)).run(x)
    state, want = np.zeros((n, n_state)), []
    for drive, raw, b, c in zip(*np.split(x.astype(np.float64), [n, 2 * n, 2 * n + n_state], axis=1), strict=True):
        step = np.log1p(np.exp(raw))[:, None]
        state = np.exp(step * rates) * state + step * drive[:, None] * b
        want.append(state @ c + skip * drive)
    np.testing.assert_allclose(y, want, rtol=0, atol=2e-5)


def test_gates() -> None:
    x = 4 * normal(50, 14)
    builder = Builder(14)
    row = builder.input()
    first, second = row.split(2)
    y = executor(builder, builder.silu(first), builder.multiply(first, second), builder.concatenate([second, first]))
    silu, product, both = np.split(y.run(x), [7, 14], axis=1)
    np.testing.assert_allclose(silu, x[:, :7] / (1 + np.exp(-x[:, :7].astype(np.float64))), rtol=0, atol=2e-6)
    assert np.array_equal(product, x[:, :7] * x[:, 7:])
    assert np.array_equal(both, np.roll(x, 7, axis=1))


@pytest.mark.parametrize("n", [1, 2, 7, 96])
def test_rms_norm(n: int) -> None:
    x, weight = 3 * normal(50, n) + 2, normal(n, seed=1)
    x[3] = 0
    builder = Builder(n)
    y = executor(builder, builder.rms_norm(builder.input(), weight, 1e-5)).run(x)
    squares = np.square(x.astype(np.float64)).mean(1, keepdims=True)
    np.testing.assert_allclose(y, x / np.sqrt(squares + 1e-5) * weight, rtol=0, atol=1e-5)
