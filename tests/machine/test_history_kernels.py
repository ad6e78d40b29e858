"""Windows in pieces, gates and exact normalisation against numpy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from bmi_decoder.layers.exact_norm import ExactLayerNorm
from bmi_decoder.machine.builder import Builder
from tests.machine.support import executor, normal


def windows(x: np.ndarray, width: int) -> np.ndarray:
    """The last `width` rows at each row, oldest first: (T, width, n)."""
    padded = np.concatenate([np.zeros((width - 1, x.shape[1]), x.dtype), x])
    return sliding_window_view(padded, width, 0).transpose(0, 2, 1)


@pytest.mark.parametrize("width", [1, 2, 3, 10])
@pytest.mark.parametrize("n", [1, 5])
def test_history_is_the_last_bins_oldest_first(width: int, n: int) -> None:
    x = normal(4 * width + 7, n)
    builder = Builder(n)
    y = executor(builder, builder.history(builder.input(), width)).run(x)
    assert np.array_equal(y, windows(x, width).reshape(len(x), -1))


@pytest.mark.parametrize(("width", "count"), [(1, 2), (2, 1), (3, 4), (7, 7), (1, 10)])
@pytest.mark.parametrize("n", [1, 5])
def test_sub_windows_are_sums_of_adjoining_bins(width: int, count: int, n: int) -> None:
    counts = np.random.default_rng(0).poisson(2, (5 * width * count + 3, n)).astype(np.float32)
    builder = Builder(n)
    y = executor(builder, builder.sub_windows(builder.input(), width, count)).run(counts)
    want = windows(counts, width * count).reshape(len(counts), count, width, n).sum(2)
    assert np.array_equal(y, want.reshape(len(counts), -1))


def test_rounding_in_sub_windows_does_not_accumulate() -> None:
    x = (1e3 * normal(50_000, 1)).astype(np.float32)
    builder = Builder(1)
    y = executor(builder, builder.sub_windows(builder.input(), 7, 7)).run(x)
    want = windows(x.astype(np.float64), 49).reshape(len(x), 7, 7).sum(2)
    error = np.abs(y - want)
    assert error.max() < 5e-3
    assert error[-1000:].max() < 2 * error[100:1100].max(), "the error grows with time"


def test_nan_leaves_sub_windows_soon_after_their_bins() -> None:
    builder = Builder(1)
    x = np.ones((60, 1), np.float32)
    x[20] = np.nan
    y = executor(builder, builder.sub_windows(builder.input(), 3, 4)).run(x)
    assert np.isnan(y[20, 3]) and not np.isnan(y[20, :3]).any()
    assert (y[20 + 12 + 4 :] == 3).all()


@pytest.mark.parametrize("n", [1, 5, 32])
def test_gru_cell_is_that_of_torch(n: int) -> None:
    torch.manual_seed(n)
    cell = torch.nn.GRUCell(3, n).double()
    x = 3 * normal(100, 3)
    p = {name: value.detach().numpy() for name, value in cell.named_parameters()}
    builder = Builder(3)
    hidden = builder.state("h", np.zeros(n))
    gates = builder.linear(builder.input(), p["weight_ih"], p["bias_ih"])
    recurrent = builder.linear(hidden, p["weight_hh"], p["bias_hh"])
    machine = executor(builder, builder.gru_cell(gates, recurrent, hidden))
    h, want = torch.zeros(1, n, dtype=torch.float64), []
    with torch.no_grad():
        for row in torch.from_numpy(x).double():
            h = cell(row[None], h)
            want.append(h.numpy()[0])
    np.testing.assert_allclose(machine.run(x), want, rtol=0, atol=2e-6)


def test_elementwise_kernels() -> None:
    x = np.float32([[-1.0, -0.0, 2.5, np.inf, -np.inf, np.nan]])
    builder = Builder(6)
    row = builder.input()
    y = executor(builder, builder.relu(row), builder.add(row, row), builder.zeros(2)).run(x)[0]
    np.testing.assert_array_equal(y[:6], [0, 0, 2.5, np.inf, 0, np.nan])
    np.testing.assert_array_equal(y[6:12], 2 * x[0])
    assert y[12:].tolist() == [0, 0]


@pytest.mark.parametrize("n", [6, 672, 1344])
def test_exact_layer_norm_is_the_same_bits_and_that_of_torch(n: int) -> None:
    limit = ExactLayerNorm.limit(n)
    x = np.random.default_rng(0).poisson(2, (50, n)).astype(np.float32)
    x[1] = 0
    x[2] = limit  # the largest sums that must be exact
    x[3, ::2] = limit
    torch.manual_seed(0)
    layer = ExactLayerNorm(n)
    with torch.no_grad():
        layer.norm.weight.normal_()
        layer.norm.bias.normal_()
        want = layer(torch.from_numpy(x))
        reference = layer.norm(torch.from_numpy(x))
        shuffled = np.random.default_rng(1).permutation(n)
        other = layer.norm.weight[shuffled], layer.norm.bias[shuffled]
    builder = Builder(n)
    y = executor(builder, layer.lower(builder, builder.input())).run(x)
    assert np.array_equal(y, want.numpy())
    torch.testing.assert_close(want[[0, 3]], reference[[0, 3]], rtol=0, atol=1e-3)
    builder = Builder(n)
    weight, bias = (value.numpy() for value in other)
    y = executor(builder, builder.layer_norm(builder.input(), weight, bias, layer.norm.eps, exact=True)).run(
        np.ascontiguousarray(x[:, shuffled])
    )
    assert np.array_equal(y, want.numpy()[:, shuffled]), "the result depends on the order of the sums"
