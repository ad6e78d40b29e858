"""NeuroBench's baselines and the BioCAS 2024 networks, to the number and to the equation."""

from __future__ import annotations

import pytest
import torch

from bmi_decoder.decoders.decoder import Decoder, StackDecoder
from bmi_decoder.layers.perceptron import BatchNorm
from bmi_decoder.training.export import lower
from tests.decoders.test_published_systems import dense_operations, paper

CHANNELS = (96, 192)


def parameters(decoder: Decoder) -> int:
    return sum(value.numel() for value in decoder.parameters())


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("ann_2d", (4_704, 7_776)),
        ("ann_3d", (23_136, 44_640)),
        ("snn_3d", (32_928, 54_432)),
        ("tiny_rsnn", (10_368, 16_512)),
        ("big_rsnn", (96 * 1024 + 1024 * 1024 + 1024 * 10, 192 * 1024 + 1024 * 1024 + 1024 * 10)),
        ("ae_gru", (5 * (96 * 32 + 2 * 96 * 32) + 64, 5 * (192 * 32 + 2 * 96 * 32) + 64)),
        ("gru", (96 * 96 + 32 * 96 + 64, 192 * 96 + 32 * 96 + 64)),
    ],
)
def test_dense_synaptic_operations_per_bin(name: str, operations: tuple[int, int]) -> None:
    for n_channels, wanted in zip(CHANNELS, operations, strict=True):
        decoder = paper(name, n_channels)
        decoder.finalise(x_step=1.0)
        assert dense_operations(decoder.eval()) == wanted


@pytest.mark.parametrize(
    ("name", "footprints", "of_batch_norm", "other"),
    [
        # Batch normalisation's running figures: 160 and 64 floats; C + 2, C + 4 and C + 9 are the library's buffers.
        ("ann_2d", (20_824, 33_496), 160, 4),
        ("ann_3d", (94_552, 180_952), 160, 4),
        ("snn_3d", (24_972, 43_020), 0, 9),
        ("ae_gru", (39_184, 51_856), 64, 2),
    ],
)
def test_parameters_are_those_of_the_published_footprints(
    name: str, footprints: tuple[int, int], of_batch_norm: int, other: int
) -> None:
    for n_channels, footprint in zip(CHANNELS, footprints, strict=True):
        floats = parameters(paper(name, n_channels)) + of_batch_norm + n_channels + other
        assert 4 * floats == footprint


def test_tiny_rsnn_has_three_numbers_per_neuron_and_four_of_its_readout() -> None:
    state = paper("tiny_rsnn", 96).initial_state(1)
    assert sum(value.numel() for value in state.values()) == 3 * 64 + 4
    # Matrices without biases, two time constants per neuron and per output.
    assert parameters(paper("tiny_rsnn", 96)) == 10_368 + 2 * 64 + 2 * 2


@pytest.mark.parametrize("name", ["ann_2d", "ann_3d"])
def test_batch_normalisation_is_gone_from_the_deployed_network(name: str) -> None:
    decoder = paper(name, 12)
    assert isinstance(decoder, StackDecoder)
    x = torch.poisson(torch.full((4, 80, 12), 0.4), generator=torch.Generator().manual_seed(0))
    decoder.train()
    for _ in range(20):
        decoder(x)  # running figures
    decoder.eval()
    with torch.no_grad():
        before = decoder(x)
        assert sum(isinstance(layer, BatchNorm) for layer in decoder.stack.layers.values()) == 2
        decoder.finalise(x_step=1.0)
        torch.testing.assert_close(decoder(x), before, rtol=0, atol=1e-4)
    program = lower(decoder)
    assert program is not None and len(program.instructions) == 8  # input, window, 3 linear, 2 relu, output


def test_snn_3d_follows_the_papers_equations() -> None:
    """Section by section, in double precision, without any of our layers."""
    decoder = paper("snn_3d", 24, seed=3).eval()
    p = {name: value.detach().double() for name, value in decoder.named_parameters()}
    w, c = (
        [p[f"stack.layers.network.stack.layers.dense{k}.linear.{what}"] for k in (1, 2, 3)]
        for what in ("weight", "bias")
    )
    x = torch.poisson(torch.full((1, 120, 24), 0.4), generator=torch.Generator().manual_seed(0))
    binary = torch.cat([torch.zeros(48, 24), (x[0] > 0).float()]).double()
    want = []
    for t in range(120):
        u = binary[t : t + 49].reshape(7, 7, 24).sum(1)
        z = torch.nn.functional.layer_norm(u, (7, 24))
        z = (torch.round(z * 16) / 16).clamp(-8, 8)
        m1, m2, m3 = torch.zeros(32).double(), torch.zeros(48).double(), torch.zeros(2).double()
        for row in z:
            m1 = 0.5 * m1 + w[0] @ row + c[0] - (m1 > 0.5).double() * 0.5
            m2 = 0.5 * m2 + w[1] @ (m1 > 0.5).double() + c[1] - (m2 > 0.5).double() * 0.5
            m3 = 0.5 * m3 + w[2] @ (m2 > 0.5).double() + c[2]
        want.append(p["stack.layers.scale.scale"] * m3)
    with torch.no_grad():
        got = decoder(x)[0].double()
    assert float(got.std()) > 0.01
    # A normalised sum that lies between two steps may round to the other one, which moves a spike at most.
    agree = ((got - torch.stack(want)).abs() < 1e-4).all(1)
    assert float(agree.double().mean()) > 0.95


def test_snn_3d_tells_the_mean_from_the_first_bin_on() -> None:
    decoder = paper("snn_3d", 6).eval()
    x = torch.poisson(torch.ones(1, 30, 6), generator=torch.Generator().manual_seed(0))
    scale, shift = torch.tensor([3.0, 0.01]), torch.tensor([-7.0, 5.0])
    with torch.no_grad():
        before = decoder(x)
        decoder.scale_output(scale, shift)
        torch.testing.assert_close(decoder(x), before * scale + shift, rtol=0, atol=1e-4)
