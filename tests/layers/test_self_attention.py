"""Spiking self-attention: all its forms against attention written out for every pair of tokens and bins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.self_attention import SpikingSelfAttention
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor

TOKENS, HEADS, N = 5, 3, 4
MEMORY = pytest.mark.parametrize("memory", [None, 3.0])


def spikes(n_batch: int, n_bins: int, seed: int = 0) -> Tensor:
    """Token by token queries, keys and values."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n_batch, n_bins, 3 * TOKENS * HEADS * N, generator=generator) < 0.4).float()


def parts(x: Tensor) -> list[np.ndarray]:
    """Queries, keys, values (T, TOKENS, HEADS, N) of one lane."""
    return [part.double().numpy() for part in x.unflatten(-1, (TOKENS, 3, HEADS, N)).unbind(-3)]


def test_without_memory_it_is_published_attention_within_each_bin() -> None:
    """``(Q K^T) V scale``, summed in the other order."""
    layer, x = SpikingSelfAttention(TOKENS, HEADS, N, 0.25, None), spikes(1, 40)
    query, key, value = parts(x[0])
    weight = np.einsum("tihn,tjhn->thij", query, key)
    want = 0.25 * np.einsum("thij,tjhn->tihn", weight, value)
    assert layer.initial_state(1) == {}
    y, _ = layer.scan(x, {})
    assert np.array_equal(y[0].double().numpy(), want.reshape(40, -1))


def test_with_memory_it_attends_to_the_decaying_past() -> None:
    layer, x = SpikingSelfAttention(TOKENS, HEADS, N, 0.125, 3.0), spikes(1, 60)
    query, key, value = parts(x[0])
    decay = np.exp(-1 / 3)
    want = np.zeros((60, TOKENS, HEADS, N))
    for t in range(60):
        for s in range(t + 1):
            weight = decay ** (t - s) * np.einsum("ihn,jhn->hij", query[t], key[s])
            want[t] += 0.125 * np.einsum("hij,jhn->ihn", weight, value[s])
    with torch.no_grad():
        y, state = layer.scan(x, layer.initial_state(1))
    assert state["memory"].shape == (1, HEADS, N, N)
    # What is read is rounded to multiples of 2^-6, so each of at most N terms is off by half of that.
    np.testing.assert_allclose(y[0].numpy(), want.reshape(60, -1), rtol=0, atol=0.125 * N * 2**-7 + 1e-5)
    assert np.abs(want).max() > 2


@MEMORY
def test_steps_scan_and_machine_give_the_same_bits(memory: float | None) -> None:
    torch.manual_seed(0)
    layer, x = SpikingSelfAttention(TOKENS, HEADS, N, 0.125, memory), spikes(2, 200)
    if memory is not None:
        with torch.no_grad():
            layer.decay_logit.add_(torch.randn(HEADS))
    builder = Builder(x.shape[2])
    builder.output(layer.lower(builder, builder.input()))
    with torch.no_grad():
        scanned, last = layer.scan(x, layer.initial_state(2))
        stepped, after = Layer.scan(layer, x, layer.initial_state(2))
        first, middle = layer.scan(x[:, :70], layer.initial_state(2))
        second, _ = layer.scan(x[:, 70:], middle)
    assert torch.equal(scanned, stepped) and torch.equal(scanned, torch.cat([first, second], 1))
    assert all(torch.equal(last[name], after[name]) for name in after)
    assert np.array_equal(Executor(builder.build()).run(x[0].numpy()), scanned[0].numpy())


@MEMORY
def test_order_of_tokens_does_not_matter_to_a_bit(memory: float | None) -> None:
    layer, x = SpikingSelfAttention(TOKENS, HEADS, N, 0.125, memory), spikes(1, 100)
    order = torch.randperm(TOKENS, generator=torch.Generator().manual_seed(3))

    def turned(rows: Tensor) -> Tensor:
        return rows.unflatten(-1, (TOKENS, -1))[..., order, :].flatten(-2)

    with torch.no_grad():
        y, _ = layer.scan(x, layer.initial_state(1))
        other, _ = layer.scan(turned(x), layer.initial_state(1))
    assert torch.equal(turned(y), other)


def test_gradients_of_the_compiled_scan_are_those_of_steps() -> None:
    results = []
    for scanned in (True, False):
        layer, x = SpikingSelfAttention(TOKENS, HEADS, N, 0.125, 3.0), spikes(2, 30).requires_grad_()
        state = {"memory": torch.rand(2, HEADS, N, N, generator=torch.Generator().manual_seed(1)).requires_grad_()}
        y, last = layer.scan(x, state) if scanned else Layer.scan(layer, x, state)
        ((y * torch.linspace(-1, 1, y.shape[-1])).sum() + last["memory"].sum()).backward()
        results.append((x.grad, state["memory"].grad, layer.decay_logit.grad))
    for got, want in zip(*results, strict=True):
        assert got is not None and want is not None and want.abs().max() > 1e-3
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))


@MEMORY
def test_operations(memory: float | None) -> None:
    layer, x = SpikingSelfAttention(TOKENS, HEADS, N, 0.125, memory), spikes(1, 20)
    query, key, value = parts(x[0])
    through, *forgetting = layer.synapses(x, torch.zeros(0), layer.initial_state(1))
    size = 20 * HEADS * N * N
    written = sum(np.count_nonzero(np.outer(key[t, i, h], value[t, i, h])) for t in range(20) for i in range(TOKENS) for h in range(HEADS))  # fmt: skip  # noqa: E501
    assert (through.spiking, through.dense, through.effective) == (True, 2 * TOKENS * size, written + query.sum() * N)
    assert [(one.spiking, one.dense) for one in forgetting] == ([] if memory is None else [(False, size)])


@pytest.mark.parametrize(
    ("arguments", "what"),
    [((2, 1, 300, 0.125, None), "256"), ((2, 1, 4, 0.3, None), "power of two"), ((2, 1, 4, 0.5, 0.0), "0 bins")],
)
def test_what_cannot_be_exact_is_refused(arguments: tuple[int, int, int, float, float | None], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        SpikingSelfAttention(*arguments)
