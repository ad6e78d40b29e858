"""The streaming Spikformer against its equations, and what its state may hold."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bmi_decoder.decoders.check_probe import stepped
from bmi_decoder.decoders.spikformer import SpikformerDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.operations import measure_operations
from bmi_decoder.machine.kernels.history import sub_windows_state_size
from bmi_decoder.training.export import lower

N_CHANNELS, TOKENS, WIDTH, HEADS = 10, 4, 8, 2


def make(**settings: Any) -> SpikformerDecoder:
    torch.manual_seed(0)
    small = {"tokens": TOKENS, "width": WIDTH, "heads": HEADS, "threshold": 0.3, "attention_threshold": 0.1}
    defaults = {**small, "graded_limit": 15.0, "standardise": True, "output_scale": 0.5}
    decoder = SpikformerDecoder(N_CHANNELS, 2, **{**defaults, **settings}).eval()
    decoder.calibrate(counts(1, 200)[0])
    return decoder


def counts(n_batch: int, n_bins: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.poisson(torch.full((n_batch, n_bins, N_CHANNELS), 0.8), generator=generator)


@pytest.mark.parametrize("settings", [{}, {"memory": 4.0, "blocks": 2}, {"batch_norm": False, "reset": "subtract"}])
def test_whole_sequence_equals_steps_bit_for_bit(settings: dict[str, Any]) -> None:
    decoder, x = make(**settings), counts(2, 1000)
    decoder.finalise(x_step=1.0)
    with torch.no_grad():
        want, last = stepped(decoder, x, decoder.initial_state(2))
        got, state = decoder.scan(x, decoder.initial_state(2))
    assert float(want.std()) > 1e-3
    assert torch.equal(got, want)
    assert all(torch.equal(state[name], value) for name, value in last.items())


def test_follows_its_equations() -> None:
    decoder, x = make(batch_norm=False, memory=4.0), counts(1, 60)
    p = {name.replace("layers.", "").removeprefix("stack."): v.detach() for name, v in decoder.named_parameters()}
    rates = []

    def lif(current: Tensor, threshold: float = 0.3) -> Tensor:
        """(T, ...) currents to spikes."""
        membrane, out = torch.zeros(current.shape[1:]), []
        for row in current:
            membrane = torch.where(membrane > threshold, 0.0, 0.5 * membrane) + row
            out.append((membrane > threshold).float())
        rates.append(float(torch.stack(out).mean()))
        return torch.stack(out)

    def dense(name: str, rows: Tensor) -> Tensor:
        return rows @ p[f"{name}.dense.linear.weight"].T + p[f"{name}.dense.linear.bias"]

    tokens, start = [], 0
    for i, n in enumerate((3, 3, 2, 2)):
        group = x[0, :, start : start + n]
        start += n
        lags = torch.cat([torch.nn.functional.pad(group, (0, 0, k, 0))[: len(group)] for k in (2, 1, 0)], 1)
        scaling = decoder.stack.get_submodule(f"layers.stem.layers.group{i}.layers.standardise")
        tokens.append(lif(dense(f"stem.group{i}.spikes", scaling(lags))))
    rows = torch.stack(tokens, 1)  # (T, tokens, width)
    beyond = torch.zeros(len(rows), 1, WIDTH)
    padded = torch.cat([beyond, rows, beyond], 1)
    rows = rows + lif(dense("neighbours.conv.conv", torch.cat([padded[:, k : k + TOKENS] for k in range(3)], 2)))
    here = "blocks.block0.attention.attention"
    qkv = lif(dense(f"{here}.query_key_value.conv", rows)).unflatten(2, (3, HEADS, WIDTH // HEADS))
    query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))  # (T, heads, tokens, n)
    memory, attended = torch.zeros(HEADS, WIDTH // HEADS, WIDTH // HEADS), []
    for q, k, v in zip(query, key, value, strict=True):
        memory = torch.exp(torch.tensor(-1 / 4)) * memory + k.transpose(1, 2) @ v
        attended.append((0.125 * q @ (torch.round(memory * 64) / 64)).transpose(0, 1).flatten(1))
    rows = rows + lif(dense(f"{here}.out.conv", lif(torch.stack(attended), 0.1)))
    mlp = "blocks.block0.mlp.mlp"
    rows = rows + lif(dense(f"{mlp}.out.conv", lif(dense(f"{mlp}.hidden.conv", rows))))
    current = rows.flatten(1) @ p["dense.linear.weight"].T + p["dense.linear.bias"]
    membrane, want = torch.zeros(2), []
    for row in current:
        membrane = 0.5 * membrane + row
        want.append(0.5 * membrane)
    with torch.no_grad():
        got = decoder(x)[0]
    assert len(rates) == 4 + 6 and min(rates) > 0.01 and max(rates) < 0.9
    torch.testing.assert_close(got, torch.stack(want), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("memory", "remembered"), [(0.0, 0), (4.0, WIDTH * WIDTH // HEADS)])
def test_state_is_what_the_design_says_and_does_not_grow(memory: float, remembered: int) -> None:
    decoder = make(memory=memory)
    neurons = TOKENS * WIDTH * (1 + 1 + 3 + 1 + 1 + 2 + 1)  # stem, neighbours; q k v, attention, out; hidden, out
    want = 2 * N_CHANNELS + neurons + remembered + 2
    start = decoder.initial_state(1)
    with torch.no_grad():
        _, later = decoder.scan(counts(1, 500), start)
    for state in (start, later):
        assert sum(value.numel() for value in state.values()) == want
    program = lower(decoder)
    assert program is not None
    rings = sum(sub_windows_state_size(n, 1, 3) for n in (3, 3, 2, 2))
    assert program.initial_state.size == want - 2 * N_CHANNELS + rings


def test_operations_are_counted() -> None:
    decoder = make(memory=4.0)
    decoder.finalise(x_step=1.0)
    d, n = WIDTH, WIDTH // HEADS
    shared = 3 * d * d + 3 * d * d + d * d + 2 * d * d + 2 * d * d  # neighbours; q k v; out; hidden, out
    dense = 3 * N_CHANNELS * d + TOKENS * shared + 2 * TOKENS * d
    dense += 2 * TOKENS * HEADS * n * n + HEADS * n * n  # attention writes and reads; forgets
    measured = measure_operations(decoder, [counts(1, 300)[0]])
    assert measured["dense"] == dense
    assert 0 < measured["acs"] < dense - measured["macs"]
    assert sum(row["macs_per_step"] for row in measured["bit_budget"]["layers"]) == pytest.approx(dense)


def test_presets_follow_the_bin_width() -> None:
    best = dict(SpikformerDecoder.presets["best"].hyper_parameters)
    slow, fast = (SpikformerDecoder.adapt(best, bin_s, are_counts=True) for bin_s in (0.05, 0.004))
    assert slow["tap_bins"] == 1 and fast["tap_bins"] == 12
    assert slow["memory"] == pytest.approx(8) and fast["memory"] == pytest.approx(100)
    assert slow["beta"] == pytest.approx(0.5, abs=0.01) and fast["beta"] == pytest.approx(0.946, abs=0.001)
    assert SpikformerDecoder.adapt(best, 0.05, are_counts=False)["graded_step"] == 0.0625


def test_fewer_channels_than_tokens_give_fewer_tokens() -> None:
    decoder = SpikformerDecoder(3, 2, tokens=8, width=8, heads=2)
    assert decoder.hyper_parameters["tokens"] == 8
    assert decoder(torch.ones(1, 5, 3)).shape == (1, 5, 2)


@pytest.mark.parametrize("settings", [{"width": 10, "heads": 4}, {"blocks": 0}, {"tokens": 0}, {"memory": -1.0}])
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="got"):
        SpikformerDecoder(4, 2, **settings)
