"""The spiking Legendre memory unit as a decoder: its published size, its variants, its equations end to end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import snntorch
import torch
from scipy.signal import cont2discrete

from bmi_decoder.decoders.check import check_decoder
from bmi_decoder.decoders.decoder import Decoder, StackDecoder
from bmi_decoder.decoders.l2mu import L2muDecoder
from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.evaluation.operations import measure_operations
from bmi_decoder.layers.lmu import SpikingLegendreUnit
from bmi_decoder.machine.executor import Executor
from bmi_decoder.training.export import lower

PAPER = dict(L2muDecoder.presets["paper"].hyper_parameters)
SMALL: dict[str, Any] = {"encoders": 5, "hidden": 9, "order": 4, "window": 6.0, "standardise": True, "per_neuron": True}
VARIANTS = [(neuron, memory) for neuron in ("lif", "cuba") for memory in ("spiking", "analogue")]


def make(n_channels: int = 7, n_outputs: int = 2, **settings: Any) -> Decoder:
    torch.manual_seed(0)
    return build_decoder("l2mu", n_channels, n_outputs, settings)


@pytest.mark.parametrize(("neuron", "memory"), VARIANTS)
def test_every_variant_keeps_the_contract(neuron: str, memory: str) -> None:
    """Which includes that torch, ONNX and the machine agree bit for bit."""
    check_decoder(lambda: make(**SMALL, neuron=neuron, memory=memory), n_bins=120)


def test_the_paper_preset_has_the_published_size() -> None:
    """1.19e5 parameters with 7 classes and 12 inputs."""
    parameters = sum(value.numel() for value in make(12, 7, **PAPER).parameters())
    assert round(parameters, -3) == 119_000
    scalars = 4 * 2 + 7  # decays and thresholds; output factors, which are ours
    m, h, d = 70, 120, 7
    assert parameters - scalars == (12 + h + m * d) * m + (12 + h + m * d) * h + 7 * (h + 1)


def test_state_and_dense_operations_are_those_of_the_three_populations() -> None:
    decoder = make(96, 2, encoders=32, hidden=64, order=6)
    state = {name: value.numel() for name, value in decoder.initial_state(1).items()}
    assert state == {
        "lmu.u.membrane": 32,
        "lmu.m.membrane": 192,
        "lmu.h.membrane": 64,
        "lmu.memory": 192,
        "lmu.hidden": 64,
        "readout.membrane": 2,
    }
    decoder.finalise(x_step=1.0)
    measured = measure_operations(
        decoder, [torch.poisson(torch.full((200, 96), 0.3), torch.Generator().manual_seed(0))]
    )
    in_memory = 32 * 6 * (6 + 1)
    assert measured["dense"] == (96 + 64) * (32 + 64) + 192 * (32 + 64) + in_memory + 2 * 64
    assert 0 < measured["macs"] < 96 * (32 + 64), "counts of two and more make the input's products multiplications"
    assert 0 < measured["acs"] < measured["dense"] - 96 * (32 + 64)


@torch.no_grad()
def _of_readout(decoder: StackDecoder, x: torch.Tensor) -> int:
    """Outputs above the readout's threshold, which count as active as in the seed paper's networks."""
    y, readout = decoder(x[None]), decoder.stack.layers["readout"]
    return int((y / decoder.stack.layers["scale"].scale > readout.threshold).sum())  # type: ignore[union-attr,operator]


@pytest.mark.parametrize("memory", ["spiking", "analogue"])
def test_operations_are_those_of_what_fired(memory: str) -> None:
    """Counted here from the states bin by bin."""
    decoder = make(7, 2, **SMALL, memory=memory)
    assert isinstance(decoder, StackDecoder)
    unit = decoder.stack.layers["lmu"]
    assert isinstance(unit, SpikingLegendreUnit)
    torch.nn.init.normal_(unit.recall.weight)  # zero at first
    decoder.finalise(x_step=1.0)
    x = torch.poisson(torch.full((60, 7), 1.5), torch.Generator().manual_seed(0))
    state, from_spikes, from_memory, active = decoder.initial_state(1), 0, 0, 0
    with torch.no_grad():
        for row in x[:, None]:
            before = state
            _, state = decoder.step(row, state)
            u, h, h_before = (
                int(torch.count_nonzero(fired))
                for fired in (state["lmu.u.membrane"] > unit.u.threshold, state["lmu.hidden"], before["lmu.hidden"])
            )
            m, m_before = (s["lmu.memory"] for s in (state, before))
            read, recalled = (torch.round(256 * v) if memory == "analogue" else v for v in (m, m_before))
            from_spikes += h_before * (5 + 9) + h * 2
            from_memory += int(torch.count_nonzero(recalled)) * 5 + int(torch.count_nonzero(read)) * 9
            from_memory += (int(torch.count_nonzero(m_before)) + u) * 4
            active += u + h + (int(torch.count_nonzero(m)) if memory == "spiking" else 0)
        measured = measure_operations(decoder, [x])
    inputs = int(torch.count_nonzero(x)) * (5 + 9)  # counts of two and more: multiplications
    spiking, real = (from_memory, 0) if memory == "spiking" else (0, from_memory)
    neurons = 5 + 9 + (20 if memory == "spiking" else 0)
    assert measured["acs"] * 60 == from_spikes + spiking
    assert measured["macs"] * 60 == inputs + real
    assert active > 50
    quiet = _of_readout(decoder, x)
    assert 1 - measured["activation_sparsity"] == pytest.approx((active + quiet) / (60 * (neurons + 2)))


def test_decodes_what_the_equations_say_with_snntorchs_neurons() -> None:
    """The paper's network bin by bin in float64 products, from spike counts to velocity."""
    decoder = make(12, 2, **{**PAPER, "encoders": 9, "hidden": 11, "order": 3, "window": 5.0}).eval()
    decoder.scale_output(torch.tensor([2.0, 3.0]), torch.tensor([0.5, -1.0]))
    weights = {name.removeprefix("stack.layers."): value.detach() for name, value in decoder.named_parameters()}
    m, h, d = 9, 11, 3
    a = [[(2 * i + 1) * (-1 if i < j else (-1) ** (i - j + 1)) / 5 for j in range(d)] for i in range(d)]
    b = [[(2 * i + 1) * (-1) ** i / 5] for i in range(d)]
    held = cont2discrete((np.array(a), np.array(b), np.eye(d), np.zeros((d, 1))), dt=1.0)
    abar, bbar = (torch.tensor(v, dtype=torch.float32) for v in held[:2])
    (e_x, w_x), (e_h, w_h) = (weights[f"lmu.{name}.weight"].split([m, h]) for name in ("inputs.linear", "around"))
    with torch.no_grad():
        weights["lmu.recall.weight"].normal_(std=0.4, generator=torch.Generator().manual_seed(1))
    lif_u, lif_m, lif_h = (
        snntorch.Leaky(beta=beta, threshold=threshold, reset_mechanism="subtract")
        for beta, threshold in ((0.8, 0.2), (0.2, 0.4), (0.45, 0.65))
    )
    x = torch.poisson(torch.full((80, 12), 0.5), torch.Generator().manual_seed(2))
    su, sm, sh = torch.zeros(m), torch.zeros(d, m), torch.zeros(h)
    mem_u, mem_m, mem_h, o = torch.zeros(m), torch.zeros(d, m), torch.zeros(h), torch.zeros(2)
    want = []
    with torch.no_grad():
        for row in x:
            su, mem_u = lif_u(e_x @ row + e_h @ sh + weights["lmu.recall.weight"] @ sm.flatten(), mem_u)
            sm, mem_m = lif_m(abar @ sm + bbar @ su[None], mem_m)
            sh, mem_h = lif_h(w_x @ row + w_h @ sh + weights["lmu.read.weight"] @ sm.flatten(), mem_h)
            o = 0.6 * o + weights["dense.linear.weight"] @ sh + weights["dense.linear.bias"]
            want.append(weights["scale.scale"] * o)
        got = decoder(x[None])[0]
        program = lower(decoder)
        assert program is not None
        live = Executor(program).run(x.numpy())
    torch.testing.assert_close(got, torch.stack(want), rtol=0, atol=1e-4)
    np.testing.assert_allclose(live, torch.stack(want).numpy(), rtol=0, atol=1e-4)
    assert float(got.std(0).min()) > 0.1


def test_presets_keep_their_time_constants_at_any_bin_width() -> None:
    best = L2muDecoder.presets["best"].hyper_parameters
    for bin_s in (0.004, 0.05):
        adapted = L2muDecoder.adapt(best, bin_s, are_counts=True)
        assert adapted["window"] * bin_s == pytest.approx(0.5)
        np.testing.assert_allclose(-bin_s / np.log(adapted["betas"]), [0.1] * 4)
        np.testing.assert_allclose(-bin_s / np.log(adapted["alphas"]), [0.02] * 3)
    assert L2muDecoder.adapt({"window": 3.0}, 0.05, are_counts=True) == {"window": 3.0}
    assert L2muDecoder.adapt({}, 0.05, are_counts=False) == {"graded_limit": 4.0, "graded_step": 0.0625}
