"""Weights of 8 and 4 bits: their codes, their storage, and decoders that run on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from bmi_decoder.bundle import Bundle, read_bundle, write_bundle
from bmi_decoder.decoders.check_deployed import check_agreement, check_bundle, check_chunks
from bmi_decoder.decoders.check_probe import Trial
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import decoder_class, decoder_names
from bmi_decoder.decoders.restore import restore_decoder
from bmi_decoder.decoders.weight_quantisation import RowCodes, WeightBits, matrices, row_codes
from bmi_decoder.errors import BundleError, InputError
from bmi_decoder.evaluation.operations import measure_operations
from bmi_decoder.layers.dense import Dense
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording
from bmi_decoder.simulation import SubjectSettings, simulate
from bmi_decoder.training.decoder_input import decoder_input
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train

BITS: tuple[WeightBits, ...] = (8, 4)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shape", [(48, 96), (5, 7), (3, 4, 3), (1, 1)])
def test_codes_are_whole_numbers_of_so_many_bits_and_near(bits: WeightBits, shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    codes = row_codes(weight, bits)
    most = 2 ** (bits - 1) - 1
    assert codes.codes.dtype == torch.int8 and codes.codes.shape == weight.shape
    assert int(codes.codes.abs().max()) <= most
    # Never worse than plain rounding with the row's largest weight as the largest code.
    plain = weight.flatten(1).abs().amax(1, keepdim=True) / most
    rounded = torch.round(weight.flatten(1) / plain) * plain
    error = (codes.values - weight).flatten(1).square().sum(1)
    allowed = (rounded - weight.flatten(1)).square().sum(1) * 1.001
    assert (error <= allowed + 1e-8 * weight.flatten(1).square().sum(1)).all()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shape", [(48, 96), (5, 7), (3, 5, 3)])
def test_packing_loses_nothing(bits: WeightBits, shape: tuple[int, ...]) -> None:
    codes = row_codes(torch.randn(shape, generator=torch.Generator().manual_seed(0)), bits)
    packed, scale = codes.packed()
    n = int(np.prod(shape[1:]))
    assert codes.nbytes == shape[0] * (n if bits == 8 else (n + 1) // 2) + 4 * shape[0]
    again = RowCodes.unpack(packed, scale, torch.Size(shape), bits)
    assert torch.equal(again.codes, codes.codes) and torch.equal(again.values, codes.values)


def test_rows_of_zeros_and_of_one_value() -> None:
    weight = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, -0.5], [1e-30, 0.0, 1.0]])
    values = row_codes(weight, 8).values
    assert torch.equal(values[0], weight[0])
    assert torch.allclose(values[1], weight[1], rtol=1e-6)
    assert values[2].tolist() == pytest.approx([0.0, 0.0, 1.0])


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("bound", "step"), [(1.0, 1.0), (15.0, 1.0), (4.0, 0.0625), (8.0, 0.0625)])
def test_sums_remain_exact_in_any_order(bits: WeightBits, bound: float, step: float) -> None:
    torch.manual_seed(0)
    layer = Dense(192, 16)
    with torch.no_grad():
        layer.linear.weight[3] = 0.0
        layer.linear.weight[3, 5] = 7.0  # one large weight beside small ones
        layer.linear.weight[4] *= torch.logspace(-3, 1, 192)
    layer.finalise(bound, step)
    weight = row_codes(layer.linear.weight, bits).values.numpy()
    bias = layer.linear.bias.detach().numpy()
    rng = np.random.default_rng(1)
    x = (rng.integers(-round(bound / step), round(bound / step) + 1, (50, 192)) * step).astype(np.float32)
    x[0], x[1:17] = bound, np.where(weight < 0, -bound, bound)  # the largest sums
    want = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    for order in (np.arange(192), np.arange(192)[::-1], rng.permutation(192)):
        total = np.broadcast_to(bias, (50, 16)).astype(np.float32)
        for j in order:
            total = total + x[:, j, None] * weight[:, j]
        assert np.array_equal(total, want)


class Quantised(Trial):
    """A trial of a decoder whose weights have few bits."""

    bits: WeightBits = 8

    def ready(self) -> Decoder:
        decoder = super().ready()
        decoder.quantise_weights(self.bits)
        return decoder


@pytest.mark.parametrize("kind", ["counts", "filtered"])
@pytest.mark.parametrize("name", decoder_names())
def test_every_decoder_runs_on_quantised_weights_everywhere(name: str, kind: str) -> None:
    cls = decoder_class(name)
    settings = cls.adapt(cls.presets["best"].hyper_parameters, 0.05, are_counts=kind == "counts")
    trial = Quantised(lambda: cls(7, 2, **settings), kind, 60, 1e-4, None)  # type: ignore[arg-type]
    for check in (check_agreement, check_chunks, check_bundle):
        check(trial)


TRAINED = {"lstm": {"hidden": 32}, "snn_streaming": {"hidden1": 64, "hidden2": 32}}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate(SubjectSettings(bin_s=0.05), 100.0)


@pytest.fixture(scope="module", params=sorted(TRAINED))
def pair(request: pytest.FixtureRequest, recording: Recording) -> tuple[Bundle, Bundle]:
    """A decoder trained a little, with float32 weights and with 8 bits."""
    settings = {**TRAINED[request.param], "updates": 100, "learning_rate": 1e-2}
    floating, quantised = (
        train(recording, TrainSettings(request.param, overrides={**settings, **extra}))
        for extra in ({}, {"weight_bits": 8})
    )
    return floating, quantised


def test_eight_bits_decode_as_well_as_float(pair: tuple[Bundle, Bundle]) -> None:
    floating, quantised = (bundle.manifest.metrics["test"]["raw"]["r2"] for bundle in pair)
    assert floating > 0.3
    assert quantised == pytest.approx(floating, abs=0.01)


def test_the_bundle_stores_what_it_says(pair: tuple[Bundle, Bundle], recording: Recording, tmp_path: Path) -> None:
    floating, quantised = pair
    assert (floating.manifest.weight_bits, quantised.manifest.weight_bits) == (32, 8)
    write_bundle(quantised, tmp_path / "q.bmi")
    bundle = read_bundle(tmp_path / "q.bmi")
    stored = safetensors.torch.load(bundle.weights)
    decoder, before = restore_decoder(bundle), restore_decoder(floating)
    found = matrices(decoder)
    assert found and all(stored[name].dtype == torch.int8 for name in found)
    n_weights = sum(weight.numel() for weight in found.values())
    rows = sum(len(weight) for weight in found.values())
    x = torch.from_numpy(decoder_input(recording, None)[:300])
    costs = measure_operations(decoder, [x]), measure_operations(before, [x])
    assert costs[1]["footprint_bytes"] - costs[0]["footprint_bytes"] == 3 * n_weights - 4 * rows
    for one, other in zip(*(cost["bit_budget"]["layers"] for cost in costs), strict=True):
        if one["shape"] is not None:
            assert (one["weight_bits"], other["weight_bits"]) == (8, 32)
            assert one["s_ace"] == other["s_ace"] / 4 or one["activation_bits"] != other["activation_bits"]
    with torch.no_grad():
        y = decoder(x[None])[0].numpy()
    raw = Pipeline(bundle).run(x.numpy())[:, 0]
    assert np.allclose(raw, y, rtol=1e-4, atol=1e-4 * float(np.abs(y).max()))


def test_what_the_manifest_says_must_be_there(pair: tuple[Bundle, Bundle]) -> None:
    floating, quantised = pair
    lies: Tensor | Bundle
    for bundle, bits in ((floating, 8), (quantised, 4), (quantised, 32)):
        lies = Bundle(
            bundle.manifest.model_copy(update={"weight_bits": bits}), bundle.program, bundle.weights, bundle.onnx
        )
        with pytest.raises(BundleError, match="not those of decoder"):
            restore_decoder(lies)


def test_four_bits_take_half_a_byte(recording: Recording) -> None:
    bundle = train(recording, TrainSettings("wiener", overrides={"history": 3, "weight_bits": 4}))
    decoder = restore_decoder(bundle)
    assert bundle.manifest.weight_bits == 4
    x = torch.from_numpy(decoder_input(recording, None)[:50])
    n = 3 * recording.n_channels
    assert measure_operations(decoder, [x])["footprint_bytes"] == 2 * (n // 2 + 4 + 4)


def test_other_widths_are_refused(recording: Recording) -> None:
    with pytest.raises(InputError, match="weight_bits is 6: Input should be 4, 8 or 32"):
        train(recording, TrainSettings("lstm", overrides={"weight_bits": 6}))
