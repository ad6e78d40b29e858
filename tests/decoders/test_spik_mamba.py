"""The causal SpikMamba decoder against its equations, and what its state may hold."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from bmi_decoder.decoders.check_probe import stepped
from bmi_decoder.decoders.registry import decoder_class
from bmi_decoder.decoders.spik_mamba import SpikMambaDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.operations import measure_operations
from bmi_decoder.training.export import lower

N_CHANNELS = 20


def make(**settings: Any) -> SpikMambaDecoder:
    torch.manual_seed(0)
    defaults = {"hidden": 16, "heads": 2, "n_state": 4, "threshold": 0.5, "graded_limit": 15.0, "standardise": True}
    decoder = SpikMambaDecoder(N_CHANNELS, 2, **{**defaults, **settings}).eval()
    decoder.calibrate(counts(1, 200)[0])
    return decoder


def counts(n_batch: int, n_bins: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.poisson(torch.full((n_batch, n_bins, N_CHANNELS), 0.8), generator=generator)


def spikes_of(decoder: SpikMambaDecoder, x: Tensor, method: str) -> Tensor:
    """What the neurons of the embedding and of the attention's queries and keys say, bin by bin."""
    rows = x
    with torch.no_grad():
        for name in ("encode", "standardise", "input_dropout"):
            rows = decoder.stack.layers[name](rows)
        embedding = decoder.stack.get_submodule("layers.block.layers.spikes")
        pairs = decoder.stack.get_submodule(
            "layers.block.layers.sum.layers.attention.layers.inner.layers.attention.layers.parts.layers.query_key"
        )
        said = []
        for layer in (embedding, pairs):
            state, outputs = layer.initial_state(len(x)), []  # type: ignore[operator]
            if method == "scan":
                rows, _ = layer.scan(rows, state)  # type: ignore[operator]
            else:
                for t in range(x.shape[1]):
                    y, state = layer.step(rows[:, t], state)  # type: ignore[operator]
                    outputs.append(y)
                rows = torch.stack(outputs, 1)
            said.append(rows)
    return torch.cat(said, -1)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_whole_sequence_equals_steps(batch_norm: bool) -> None:
    """Every spike equal; outputs within 1e-5 over 1,000 bins."""
    decoder, x = make(batch_norm=batch_norm), counts(2, 1000)
    decoder.finalise(x_step=1.0)
    scanned, one_by_one = (spikes_of(decoder, x, method) for method in ("scan", "step"))
    assert 0.02 < float(scanned.mean()) < 0.9
    assert torch.equal(scanned, one_by_one)
    with torch.no_grad():
        want, last = stepped(decoder, x, decoder.initial_state(2))
        got, state = decoder.scan(x, decoder.initial_state(2))
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)
    for name, value in last.items():
        if name.endswith("membrane"):
            assert torch.equal(state[name], value), name


def test_follows_its_equations() -> None:
    """Two blocks, with the attention and the Mamba block taken as the functions that their own tests pin down."""
    decoder, x = make(blocks=2, batch_norm=False), counts(1, 60)
    p = {name.replace("layers.", "").removeprefix("stack."): v.detach() for name, v in decoder.named_parameters()}
    layers = decoder.stack.layers

    def lif(current: Tensor) -> Tensor:
        membrane, out = torch.zeros(16), []
        for row in current:
            membrane = torch.where(membrane > 0.5, 0.0, 0.5 * membrane) + row
            out.append((membrane > 0.5).float())
        return torch.stack(out)

    def through(name: str, rows: Tensor) -> Tensor:
        part = decoder.stack.get_submodule(name)
        return part.scan(rows[None], part.initial_state(1))[0][0]  # type: ignore[operator]

    def rms(rows: Tensor, weight: Tensor) -> Tensor:
        return rows / torch.sqrt(rows.square().mean(-1, keepdim=True) + 1e-5) * weight

    with torch.no_grad():
        u = layers["standardise"](x[0].clamp(max=15))
        e1 = lif(u @ p["block.spikes.dense.linear.weight"].T + p["block.spikes.dense.linear.bias"])
        o1 = through("layers.block.layers.sum.layers.attention", e1)
        deeper = "block.sum.deeper.spikes.dense.linear."
        e2 = lif(e1 @ p[deeper + "weight"].T + p[deeper + "bias"])
        o2 = through("layers.block.layers.sum.layers.deeper.layers.sum.layers.attention", e2)
        r = e1 + o1 + e2 + o2
        r = r + through("layers.mamba.layers.mamba.layers.block", rms(r, p["mamba.mamba.norm.weight"]))
        want = rms(r, p["norm.weight"]) @ p["readout.linear.weight"].T + p["readout.linear.bias"]
        got = decoder(x)[0]
    assert 0.05 < float(e1.mean()) < 0.9 and 0.01 < float(e2.mean()) < 0.9
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


def test_state_is_what_the_design_says_and_does_not_grow() -> None:
    decoder, d, heads, inside, n_state = make(), 16, 2, 32, 4
    want = 3 * d + heads * (d // heads) * (d // heads + 1) + 3 * inside + inside * n_state
    start = decoder.initial_state(1)
    with torch.no_grad():
        _, later = decoder.scan(counts(1, 500), start)
    for state in (start, later):
        assert sum(value.numel() for value in state.values()) == want
    program = lower(decoder)
    assert program is not None and program.initial_state.size == want


def test_operations_are_counted() -> None:
    decoder = make(batch_norm=False)
    decoder.finalise(x_step=1.0)
    d, key, inside, n_state, rank = 16, 8, 32, 4, 1
    dense = N_CHANNELS * d + d * 2 * d + d * d + d * d + d * d  # embedding; queries and keys, values, gate, output
    dense += 3 * 2 * key * (key + 1) + d  # memory of both heads; product with the gate
    dense += 2 * d * inside + 4 * inside + inside * (rank + 2 * n_state) + rank * inside  # into the state space
    dense += inside * (4 * n_state + 2) + inside + inside * d + 2 * d  # state space, gate, output; readout
    measured = measure_operations(decoder, [counts(1, 300)[0]])
    assert measured["dense"] == dense
    assert 0 < measured["acs"] < measured["dense"] - measured["macs"]
    assert sum(row["macs_per_step"] for row in measured["bit_budget"]["layers"]) == pytest.approx(dense)


def test_presets_follow_the_bin_width() -> None:
    best = dict(SpikMambaDecoder.presets["best"].hyper_parameters)
    slow, fast = (SpikMambaDecoder.adapt(best, bin_s, are_counts=True) for bin_s in (0.05, 0.004))
    assert slow["window"] == pytest.approx(16) and fast["window"] == pytest.approx(200)
    assert slow["step_range"] == pytest.approx([0.02, 0.5]) and fast["step_range"] == pytest.approx([0.0016, 0.04])
    assert slow["beta"] == pytest.approx(0.5, abs=0.01) and fast["beta"] == pytest.approx(0.946, abs=0.001)
    paper = SpikMambaDecoder.adapt(SpikMambaDecoder.presets["paper"].hyper_parameters, 0.05, are_counts=True)
    assert (paper["hidden"], paper["blocks"], paper["heads"]) == (256, 2, 8)


@pytest.mark.parametrize("settings", [{"hidden": 10, "heads": 4}, {"blocks": 0}, {"features": "spikes"}])
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="got"):
        SpikMambaDecoder(4, 2, **settings)


def test_no_package_that_needs_cuda_is_imported() -> None:
    code = (
        "import sys; from bmi_decoder.decoders.registry import decoder_class; decoder_class('spik_mamba');"
        "print(sorted({'mamba_ssm', 'triton', 'causal_conv1d', 'spikingjelly', 'cupy'} & set(sys.modules)))"
    )
    assert decoder_class("spik_mamba") is SpikMambaDecoder
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
