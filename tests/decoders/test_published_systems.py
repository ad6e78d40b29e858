"""The seed paper's networks, to the number: Zhou, Sun & Basu 2025, Neuromorph. Comput. Eng. 5 014013."""

from __future__ import annotations

import pytest
import torch

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder, decoder_class
from bmi_decoder.layers.lif import LeakyReadout, Lif
from bmi_decoder.machine.kernels.linear import LINEAR, LINEAR_FEW
from bmi_decoder.training.export import lower


def paper(name: str, n_channels: int, seed: int = 0) -> Decoder:
    torch.manual_seed(seed)
    return build_decoder(name, n_channels, 2, dict(decoder_class(name).presets["paper"].hyper_parameters))


def sizes(decoder: Decoder) -> dict[str, int]:
    """Learned numbers: in weights and biases, and in scalars of neurons and outputs."""
    matrices = {name for name, _ in decoder.named_parameters() if name.endswith(("weight", "bias")) or "_l0" in name}
    groups = {"weights and biases": 0, "scalars": 0}
    for name, value in decoder.named_parameters():
        groups["weights and biases" if name in matrices else "scalars"] += value.numel()
    return groups


def dense_operations(decoder: Decoder) -> int:
    """Additions per bin if every input spiked: the elements of the deployed program's matrices."""
    program = lower(decoder)
    assert program is not None
    products = {LINEAR.opcode, LINEAR_FEW.opcode}
    linear = [LINEAR.decode(row) for row in program.instructions.tolist() if row[0] in products]
    return sum(operands["n_in"] * operands["n_out"] for operands in linear)


@pytest.mark.parametrize(("n_channels", "weights", "operations"), [(96, 4_786, 4_704), (192, 7_858, 7_776)])
def test_snn_streaming_has_the_papers_size(n_channels: int, weights: int, operations: int) -> None:
    decoder = paper("snn_streaming", n_channels)
    assert sizes(decoder) == {"weights and biases": weights, "scalars": 8}
    assert dense_operations(decoder) == operations
    matrices = [module.weight.numel() for module in decoder.modules() if isinstance(module, torch.nn.Linear)]
    assert matrices == [n_channels * 32, 32 * 48, 48 * 2]
    assert sum(matrices) == operations


@pytest.mark.parametrize(("n_channels", "parameters"), [(96, 16_898), (192, 29_378)])
def test_lstm_has_the_papers_size(n_channels: int, parameters: int) -> None:
    assert sum(value.numel() for value in paper("lstm", n_channels).parameters()) == parameters


def test_snn_streaming_carries_82_numbers_from_bin_to_bin() -> None:
    state = paper("snn_streaming", 96).initial_state(1)
    assert {name: value.numel() for name, value in state.items()} == {
        "lif1.membrane": 32,
        "lif2.membrane": 48,
        "readout.membrane": 2,
    }
    assert not any(value.any() for value in state.values())


def test_snn_streaming_starts_with_the_papers_values() -> None:
    layers = paper("snn_streaming", 96).stack.layers  # type: ignore[union-attr]
    first, second, readout = layers["lif1"], layers["lif2"], layers["readout"]
    assert isinstance(first, Lif) and isinstance(second, Lif) and isinstance(readout, LeakyReadout)
    for layer, beta, threshold in ((first, 0.9, 0.4), (second, 0.7, 0.6), (readout, 0.8, 0.5)):
        assert layer.beta.requires_grad and layer.threshold.requires_grad
        assert (layer.beta.shape, layer.threshold.shape) == ((), ()), "one of each per layer"
        assert layer.beta.item() == pytest.approx(beta)
        assert layer.threshold.item() == pytest.approx(threshold)
    assert (first.reset, second.reset) == ("subtract", "none")


def test_output_factors_are_drawn_from_a_standard_normal() -> None:
    drawn = torch.cat(
        [paper("snn_streaming", 1, seed).stack.layers["scale"].scale.detach() for seed in range(60)]  # type: ignore[union-attr]
    )
    assert float(drawn.mean()) == pytest.approx(0, abs=0.3)
    assert float(drawn.std()) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("name", ["dense1", "dense2", "dense3"])
def test_weights_start_as_torchs_linear(name: str) -> None:
    linear = paper("snn_streaming", 96).stack.layers[name].linear  # type: ignore[union-attr]
    limit = linear.in_features**-0.5
    assert float(linear.weight.detach().abs().max()) == pytest.approx(limit, rel=0.1)
    assert float(linear.weight.detach().abs().max()) <= limit
    assert float(linear.weight.detach().std()) == pytest.approx(limit / 3**0.5, rel=0.15)


def test_snn_streaming_follows_the_papers_equations() -> None:
    """Section by section, one bin at a time in double precision, without any of our layers."""
    decoder = paper("snn_streaming", 24, seed=3).eval()
    p = {name: value.detach().double() for name, value in decoder.named_parameters()}
    w, c = ([p[f"stack.layers.dense{k}.linear.{what}"] for k in (1, 2, 3)] for what in ("weight", "bias"))
    x = torch.poisson(torch.full((1, 200, 24), 0.4), generator=torch.Generator().manual_seed(0))
    m1, m2, m3 = torch.zeros(32).double(), torch.zeros(48).double(), torch.zeros(2).double()
    want = []
    for counts in x[0]:
        s0 = (counts > 0).double()
        r1 = (m1 > 0.4).double()
        m1 = 0.9 * m1 + w[0] @ s0 + c[0] - r1 * 0.4
        s1 = (m1 > 0.4).double()
        m2 = 0.7 * m2 + w[1] @ s1 + c[1]
        s2 = (m2 > 0.6).double()
        m3 = 0.8 * m3 + w[2] @ s2 + c[2]
        want.append(p["stack.layers.scale.scale"] * m3)
    with torch.no_grad():
        got = decoder(x)[0]
    assert float(got.std()) > 0.01
    torch.testing.assert_close(got.double(), torch.stack(want), rtol=0, atol=1e-5)


def test_lstm_follows_the_papers_equations() -> None:
    """Sum of the last 8 bins, layer normalisation, torch's LSTM cell, linear readout."""
    decoder = paper("lstm", 12).eval()
    layers = decoder.stack.layers  # type: ignore[union-attr]
    x = torch.poisson(torch.full((1, 60, 12), 0.4), generator=torch.Generator().manual_seed(0))
    cell = torch.nn.LSTMCell(12, 32)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layers["lstm"].lstm.state_dict().items()})
    h = c = torch.zeros(1, 32)
    want = []
    with torch.no_grad():
        for t in range(60):
            u = x[:, max(0, t - 7) : t + 1].sum(1)
            h, c = cell(torch.nn.functional.layer_norm(u, (12,)), (h, c))
            want.append(layers["readout"].linear(h))
        torch.testing.assert_close(decoder(x), torch.stack(want, 1), rtol=0, atol=1e-5)


def test_lstm_weights_start_xavier_normal() -> None:
    lstm = paper("lstm", 96).stack.layers["lstm"].lstm  # type: ignore[union-attr]
    for weight in (lstm.weight_ih_l0.detach(), lstm.weight_hh_l0.detach()):
        assert float(weight.std()) == pytest.approx((2 / sum(weight.shape)) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("name", "learning_rate", "weight_decay"), [("snn_streaming", 5e-3, 0.05), ("lstm", 5e-3, 0.11)]
)
def test_recipes_are_the_papers(name: str, learning_rate: float, weight_decay: float) -> None:
    recipe = decoder_class(name).presets["paper"].recipe
    assert (recipe.learning_rate, recipe.weight_decay, recipe.epochs) == (learning_rate, weight_decay, 50)
