"""Weights that tokens share against torch's convolution; parts of the input side by side."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bmi_decoder.layers.branches import Split
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.history import History
from bmi_decoder.layers.layer import Layer, Stack
from bmi_decoder.layers.normalise import Binarise
from bmi_decoder.layers.token_conv import TokenConv
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor

TOKENS, N_IN, N_OUT = 6, 4, 5


def rows(n_batch: int, n_bins: int, n: int) -> Tensor:
    return torch.poisson(torch.ones(n_batch, n_bins, n), generator=torch.Generator().manual_seed(0))


def on_the_machine(layer: Layer, x: Tensor) -> Tensor:
    builder = Builder(x.shape[1])
    builder.output(layer.lower(builder, builder.input()))
    return torch.from_numpy(Executor(builder.build()).run(x.numpy()))


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_is_a_convolution_over_tokens(kernel: int) -> None:
    torch.manual_seed(0)
    layer, x = TokenConv(TOKENS, N_IN, N_OUT, kernel), rows(2, 30, TOKENS * N_IN)
    weight = layer.dense.linear.weight.unflatten(1, (kernel, N_IN)).transpose(1, 2)  # (n_out, n_in, kernel)
    tokens = x.unflatten(-1, (TOKENS, N_IN)).flatten(0, 1).transpose(1, 2)
    want = nn.functional.conv1d(tokens, weight, layer.dense.linear.bias, padding=kernel // 2)
    want = want.transpose(1, 2).flatten(1).unflatten(0, (2, 30))
    with torch.no_grad():
        for scan in (layer.scan, lambda x, state: Layer.scan(layer, x, state)):
            torch.testing.assert_close(scan(x, {})[0], want, rtol=0, atol=1e-5)
        torch.testing.assert_close(on_the_machine(layer, x[0]), want[0], rtol=0, atol=1e-5)


def test_normalisation_is_over_bins_and_tokens_and_folds_away() -> None:
    torch.manual_seed(0)
    layer, x = TokenConv(TOKENS, N_IN, N_OUT, 3, normalise=True), rows(4, 50, TOKENS * N_IN)
    assert layer.norm is not None
    layer.train()
    y, _ = layer.scan(x, {})
    of_each = y.unflatten(-1, (TOKENS, N_OUT)).flatten(0, 2)
    torch.testing.assert_close(of_each.mean(0), torch.zeros(N_OUT), rtol=0, atol=1e-5)
    torch.testing.assert_close(of_each.std(0), torch.ones(N_OUT), rtol=0, atol=1e-2)
    layer.eval()
    with torch.no_grad():
        layer.norm.norm.weight.uniform_(0.5, 2)
        want, _ = layer.scan(x, {})
        layer.finalise(8.0, 1.0)
        got, _ = layer.scan(x, {})
        torch.testing.assert_close(got, want, rtol=0, atol=1e-4)
        assert torch.equal(layer.dense.scan(layer._windows(x), {})[0].flatten(-2), got), "the normalisation is gone"
        assert torch.equal(on_the_machine(layer, x[0]), got[0]), "counts make exact sums"


def test_kernels_have_a_middle() -> None:
    with pytest.raises(ValueError, match="odd number"):
        TokenConv(TOKENS, N_IN, N_OUT, kernel=2)


def test_parts_see_their_own_input() -> None:
    torch.manual_seed(0)
    history, dense = History(2, 3), Dense(3, 4)
    layer, x = Split((2, 3, 1), {"past": history, "now": Stack({"dense": dense}), "fired": Binarise()}), rows(2, 20, 6)
    with torch.no_grad():
        past, last = history.scan(x[..., :2], history.initial_state(2))
        want = torch.cat([past, dense.linear(x[..., 2:5]), (x[..., 5:] > 0).float()], -1)
        assert list(layer.initial_state(2)) == ["past.ring"]
        for scan in (layer.scan, lambda x, state: Layer.scan(layer, x, state)):
            y, state = scan(x, layer.initial_state(2))
            torch.testing.assert_close(y, want, rtol=0, atol=1e-6)
            assert torch.equal(state["past.ring"], last["ring"])
        torch.testing.assert_close(on_the_machine(layer, x[0]), want[0], rtol=0, atol=1e-6)
    assert Split((2, 1), {"past": History(2, 3), "fired": Binarise()}).finalise(4.0, 0.25) == (4.0, 0.25)
    with pytest.raises(ValueError, match="2 parts, 1 sizes"):
        Split((2,), {"past": history, "now": dense})
