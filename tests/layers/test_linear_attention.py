"""Linear attention: the recurrence and its form in chunks against attention with a mask of decays."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.linear_attention import CHUNK, LinearAttention

HEADS, N_KEY, N_VALUE = 3, 4, 5
WINDOWS = (2.0, 16.0, 300.0)
FEATURES = pytest.mark.parametrize("features", ["binary", "shifted"])
NORMALISED = pytest.mark.parametrize("normalise", [True, False], ids=["normalised", "plain"])


def attention(features: Literal["binary", "shifted"], normalise: bool) -> LinearAttention:
    return LinearAttention(HEADS, N_KEY, N_VALUE, WINDOWS, features, normalise)


def rows(n_bins: int, n_batch: int = 2) -> Tensor:
    """Spiking queries and keys, and values that are any number."""
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(n_batch, n_bins, 2 * HEADS * N_KEY, generator=generator) < 0.4).float()
    return torch.cat([spikes, torch.randn(n_batch, n_bins, HEADS * N_VALUE, generator=generator)], -1)


def with_mask(x: Tensor, features: str, normalise: bool) -> Tensor:
    """All pairs of bins at once, in double precision."""
    n = HEADS * N_KEY
    query, key, value = x.double().split([n, n, HEADS * N_VALUE], -1)
    phi = (lambda z: torch.nn.functional.elu(z) + 1) if features == "shifted" else (lambda z: z)
    query, key = (phi(z).unflatten(-1, (HEADS, N_KEY)) for z in (query, key))
    age = torch.arange(x.shape[1])[:, None] - torch.arange(x.shape[1])
    decay = torch.exp(-1 / torch.tensor(WINDOWS).double())[:, None, None] ** age.clamp(min=0) * (age >= 0)
    weight = torch.einsum("bthk,bshk->bhts", query, key) * decay
    y = torch.einsum("bhts,bshv->bthv", weight, value.unflatten(-1, (HEADS, N_VALUE)))
    if normalise:
        y = y / (weight.sum(-1).transpose(1, 2)[..., None] + 1e-6)
    return y.flatten(2)


@FEATURES
@NORMALISED
def test_steps_and_chunks_are_attention_over_the_decaying_past(
    features: Literal["binary", "shifted"], normalise: bool
) -> None:
    layer, x = attention(features, normalise), rows(2 * CHUNK + 7)
    want = with_mask(x, features, normalise)
    with torch.no_grad():
        for scan in (layer.scan, lambda x, state: Layer.scan(layer, x, state)):
            y, _ = scan(x, layer.initial_state(2))
            torch.testing.assert_close(y.double(), want, rtol=1e-4, atol=1e-4)


@FEATURES
@NORMALISED
def test_gradients_in_chunks_are_those_of_steps(features: Literal["binary", "shifted"], normalise: bool) -> None:
    results = []
    state = {"memory": torch.rand(2, HEADS, N_KEY, N_VALUE + normalise, generator=torch.Generator().manual_seed(1))}
    for scanned in (True, False):
        layer, x = attention(features, normalise), rows(CHUNK + 9).requires_grad_()
        y, last = layer.scan(x, state) if scanned else Layer.scan(layer, x, state)
        (y * torch.linspace(-1, 1, y.shape[-1])).sum().backward()
        results.append((x.grad, layer.decay_logit.grad, last["memory"].detach()))
    for got, want in zip(*results, strict=True):
        assert got is not None and want is not None and want.abs().max() > 1e-3
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))


def test_nothing_seen_gives_nothing() -> None:
    """Binary keys without a spike: the normaliser is 0, and so is the output."""
    layer, x = attention("binary", True), rows(5)
    x[..., : 2 * HEADS * N_KEY] = 0
    with torch.no_grad():
        assert not layer.scan(x, layer.initial_state(2))[0].any()
        assert not Layer.scan(layer, x, layer.initial_state(2))[0].any()


def test_operations_of_spikes_are_accumulations() -> None:
    layer, x = attention("binary", False), rows(30)
    forget, through = layer.synapses(x, torch.zeros(0), layer.initial_state(2))
    size = 60 * HEADS * N_KEY * N_VALUE
    n = HEADS * N_KEY
    assert (forget.spiking, forget.dense, forget.effective) == (False, size, size)
    assert (through.spiking, through.dense) == (True, 2 * size)
    assert through.effective == int(x[..., : 2 * n].sum()) * N_VALUE, "a product per spike and value"
    shifted = attention("shifted", True).synapses(x, torch.zeros(0), layer.initial_state(2))[1]
    assert (shifted.spiking, shifted.effective) == (False, shifted.dense)


@pytest.mark.parametrize("windows", [(1.0,), (1.0, 2.0, 0.0)])
def test_every_head_needs_a_window(windows: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="3 heads need as many windows above 0 bins"):
        LinearAttention(HEADS, N_KEY, N_VALUE, windows, "binary", True)
