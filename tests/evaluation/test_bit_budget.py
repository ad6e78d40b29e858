"""The worked example of the docs, recomputed; widths of numbers; every decoder's budget from what it declares."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Decoder, StackDecoder
from bmi_decoder.decoders.registry import build_decoder, decoder_class, decoder_names
from bmi_decoder.evaluation.bit_budget import FixedPoint
from bmi_decoder.evaluation.operations import measure_operations
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.synapses import Product, Synapses

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "bit-budget.md"


def counts(n_channels: int, n_bins: int = 60) -> Tensor:
    return torch.poisson(torch.full((n_bins, n_channels), 0.3), generator=torch.Generator().manual_seed(0))


def paper(name: str) -> Decoder:
    torch.manual_seed(0)
    return build_decoder(name, 96, 2, dict(decoder_class(name).presets["paper"].hyper_parameters))


@torch.no_grad()
def test_the_worked_example() -> None:
    """One bin in which 20 channels, 8 neurons and 6 neurons spike; the page has the same numbers."""
    decoder = paper("snn_streaming")
    assert isinstance(decoder, StackDecoder)
    for name, n_firing in (("dense1", 8), ("dense2", 6), ("dense3", 0)):
        linear = decoder.stack.layers[name].linear
        assert isinstance(linear, torch.nn.Linear)
        linear.weight.fill_(1e-6)
        linear.bias.zero_()
        linear.bias[:n_firing] = 10.0
    x = torch.zeros(1, 96)
    x[0, :20] = 3
    budget = measure_operations(decoder, [x])["bit_budget"]
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("|")][2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    for row, layer in zip(rows[:3], budget["layers"], strict=True):
        n_out, n_in = layer["shape"]
        assert row[0] == f"{n_in} to {n_out}"
        assert row[1] == f"{layer['macs_per_step']:,.0f}"
        assert row[2] == f"{layer['s_ace']:,.0f}"
        operations = round(layer["activity"] * layer["macs_per_step"])
        assert row[4] == f"{row[3]} x {n_out} = {operations}"
        assert row[5] == f"{layer['ns_ace']:,.0f}"
        assert (layer["weight_bits"], layer["activation_bits"], layer["inner_steps"]) == (32, 1, 1)
        assert layer["bit_budget"] == 32
    assert rows[3] == ["all", "4,704", f"{budget['s_ace']:,.0f}", "", "1,036", f"{budget['ns_ace']:,.0f}"]
    assert (budget["s_ace"], budget["ns_ace"], budget["bit_budget"]) == (150_528, 33_152, 32)
    for bits, s_ace in ((8, 37_632), (4, 18_816)):
        decoder.quantise_weights(bits)
        narrow = measure_operations(decoder, [x])["bit_budget"]
        assert narrow["s_ace"] == s_ace and f"{s_ace:,}" in PAGE.read_text()
        assert {row["weight_bits"] for row in narrow["layers"]} == {bits}
    assert "971 x 32 = 31,072" in PAGE.read_text() and 971 * 32 == 31_072


def test_inner_steps_of_snn_3d_and_bits_of_its_graded_input() -> None:
    budget = measure_operations(paper("snn_3d"), [counts(96)])["bit_budget"]
    first, second, third = budget["layers"]
    assert [row["inner_steps"] for row in budget["layers"]] == [7, 7, 7]
    assert [row["macs_per_step"] for row in budget["layers"]] == [96 * 32, 32 * 48, 48 * 2]
    assert (second["activation_bits"], third["activation_bits"]) == (1, 1)
    # Normalised sums are multiples of 1/16 within 8: four to eight bits and a sign.
    assert 5 <= first["activation_bits"] <= 9
    assert first["s_ace"] == 7 * 3072 * 32 * first["activation_bits"]


def test_gated_cells_are_of_real_numbers() -> None:
    budget = measure_operations(paper("lstm"), [counts(96)])["bit_budget"]
    inward, around, cell, _ = budget["layers"]
    assert inward["shape"] == [128, 96] and around["shape"] == [128, 32] and cell["shape"] is None
    assert {row["activation_bits"] for row in budget["layers"]} == {32}
    assert budget["s_ace"] == (128 * 128 + 3 * 32 + 32 * 2) * 32 * 32


@pytest.mark.parametrize("name", decoder_names())
def test_every_decoder_has_a_budget(name: str) -> None:
    cls = decoder_class(name)
    for preset in cls.presets.values():
        torch.manual_seed(0)
        decoder = build_decoder(name, 12, 2, cls.adapt(preset.hyper_parameters, 0.004, True))
        measured = measure_operations(decoder, [counts(12)])
        budget = measured["bit_budget"]
        assert budget["s_ace"] == pytest.approx(sum(row["s_ace"] for row in budget["layers"]))
        for row in budget["layers"]:
            bits = row["weight_bits"] * row["activation_bits"] * row["inner_steps"]
            assert row["bit_budget"] == pytest.approx(bits)
            assert row["s_ace"] == pytest.approx(row["macs_per_step"] * bits)
            assert row["ns_ace"] == pytest.approx(row["activity"] * row["s_ace"])
        assert measured["dense"] == pytest.approx(
            sum(row["macs_per_step"] * row["inner_steps"] for row in budget["layers"])
        )
        assert 0 < budget["ns_ace"] <= budget["s_ace"] <= measured["dense"] * 32 * 32


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        ([0.0], 1),
        ([0.0, 1.0], 1),
        ([0.0, 0.5], 1),
        ([-1.0, 0.0, 1.0], 2),
        ([1.0, 2.0], 2),
        ([15.0, 1.0], 4),
        ([-4.0, 0.0625], 8),
        ([0.1, 100.0], 32),
        ([1e-30, 1e30], 32),
        ([float(2**24)], 1),
    ],
)
def test_widths(values: list[float], bits: int) -> None:
    together, apart = FixedPoint(), FixedPoint()
    together.take(torch.tensor(values))
    for value in values:
        apart.take(torch.tensor([value]))
    assert together.bits == apart.bits == bits


class Convolution(Layer):
    """One matrix at two places of the input, in three inner steps."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = torch.nn.Linear(2, 5)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x[:, :2], state

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        places = x.unflatten(-1, (2, 2))
        return [Synapses((Product(self.dense.weight, torch.stack([places] * 3), positions=2),))]


def test_places_of_a_convolution_are_not_inner_steps() -> None:
    decoder = StackDecoder(4, 2, {}, {"convolution": Convolution(), "readout": Dense(2, 2)})
    row, _ = measure_operations(decoder, [counts(4)])["bit_budget"]["layers"]
    assert row["inner_steps"] == 3
    assert row["macs_per_step"] == 2 * 10
