"""The quantised network and the spiking network that it converts to: the same estimates in every bin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bmi_decoder.bundle import Bundle, read_bundle, write_bundle
from bmi_decoder.config import InputFilterSettings, OutputFilterSettings
from bmi_decoder.decoders.check import check_decoder
from bmi_decoder.decoders.qcrnn import QcrnnDecoder
from bmi_decoder.decoders.rbif_rnn import RbifRnnDecoder
from bmi_decoder.decoders.restore import restore_decoder
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.formats import read_recording
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording
from bmi_decoder.simulation import PopulationSettings, SubjectSettings, simulate
from bmi_decoder.training import convert
from bmi_decoder.training.convert import largest_difference, to_spiking
from bmi_decoder.training.decoder_input import decoder_input
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train

SMALL: dict[str, Any] = {"hidden": 12, "filters": [10], "epochs": 2}


def simulated(seconds: float = 40, bin_s: float = 0.02) -> Recording:
    population = PopulationSettings(n_channels=10)
    return simulate(SubjectSettings(seed=1, bin_s=bin_s, population=population), seconds)


def trained(recording: Recording, decoder: str = "qcrnn", input_filter: InputFilterSettings | None = None) -> Bundle:
    return train(recording, TrainSettings(decoder, overrides=SMALL, input_filter=input_filter))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return trained(simulated())


@pytest.mark.parametrize("sizes", [[5], [6, 4]])
@pytest.mark.parametrize("levels", [(16, False, 32, True), (4, True, 8, False)])
def test_small_networks_of_all_kinds_keep_the_contract(sizes: list[int], levels: tuple[int, bool, int, bool]) -> None:
    kinds = dict(zip(("levels", "signed", "hidden_levels", "hidden_signed"), levels, strict=True))
    check_decoder(lambda: QcrnnDecoder(4, 2, hidden=6, filters=sizes, **kinds), n_bins=40)


def test_no_estimate_of_a_simulated_recording_differs(bundle: Bundle) -> None:
    """Machine against machine over the whole recording, and torch and ONNX against those over a part."""
    recording = simulated()
    converted = to_spiking(bundle, recording)
    assert converted.manifest.decoder == "rbif_rnn"
    raw = Pipeline(bundle, OutputFilterSettings()).decode(recording)
    spiking = Pipeline(converted, OutputFilterSettings()).decode(recording)
    assert raw.shape[0] == recording.n_bins == 2000
    assert (np.abs(spiking - raw) == 0).all() and len(np.unique(raw)) > 100
    onnx = Pipeline(Bundle(converted.manifest, None, converted.weights, converted.onnx), OutputFilterSettings())
    assert np.array_equal(onnx.run(recording.counts[:200]), raw[:200])
    decoder = restore_decoder(converted)
    assert isinstance(decoder, RbifRnnDecoder)
    with torch.no_grad():
        y = decoder(torch.from_numpy(decoder_input(recording, None))[None])[0]
    assert np.array_equal(y.numpy(), raw[:, 0])


def test_no_estimate_differs_behind_an_input_filter() -> None:
    recording = simulated(20)
    bundle = trained(recording, input_filter=InputFilterSettings(variant="low_latency", cutoff_hz=6.0))
    assert largest_difference(bundle, to_spiking(bundle), recording) == 0


def test_no_estimate_of_a_real_recording_differs(data_dir: Path) -> None:
    recording = read_recording(data_dir / "stevenson_m1" / "stevenson_m1_dev.mat")
    bundle = trained(recording)
    converted = to_spiking(bundle, recording)
    conversion = converted.manifest.conversion
    assert conversion is not None and conversion["bins"] == recording.n_bins > 10_000
    assert largest_difference(bundle, converted, recording) == conversion["largest_difference"] == 0
    assert 1 < conversion["inner_steps"]["mean"] < conversion["inner_steps"]["max"] <= conversion["inner_step_bound"]


def test_the_bundle_tells_of_its_conversion(bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(to_spiking(bundle), tmp_path / "snn.bmi")
    manifest = read_bundle(tmp_path / "snn.bmi").manifest
    assert manifest.conversion == {"source": "qcrnn", "inner_step_bound": 15 + 31 - 1}
    assert manifest.metrics == bundle.manifest.metrics
    assert manifest.output_filters == bundle.manifest.output_filters
    assert bundle.manifest.conversion is None


def test_training_the_spiking_network_is_training_and_converting_the_other(bundle: Bundle) -> None:
    direct, converted = trained(simulated(), "rbif_rnn"), to_spiking(bundle)
    assert direct.weights == converted.weights
    assert direct.program is not None and converted.program is not None
    assert direct.program.to_bytes() == converted.program.to_bytes()
    assert direct.manifest.metrics == converted.manifest.metrics


@pytest.mark.parametrize(("levels", "bound"), [((16, 32), 45), ((32, 32), 61), ((16, 16), 29), ((4, 8), 9)])
def test_levels_can_be_chosen_and_bound_the_inner_steps(levels: tuple[int, int], bound: int) -> None:
    decoder = RbifRnnDecoder(3, 2, hidden=4, filters=[3], levels=levels[0], hidden_levels=levels[1])
    assert decoder.stack.layers["network"].bounds[-1] == bound  # type: ignore[union-attr]


def test_a_decoder_without_a_spiking_twin_is_refused(bundle: Bundle) -> None:
    other = train(simulated(20), TrainSettings("lstm", overrides={"hidden": 4, "epochs": 1}))
    with pytest.raises(InputError, match=r"'lstm' has no spiking form .*; qcrnn has: train that one"):
        to_spiking(other)
    with pytest.raises(InputError, match="'rbif_rnn' has no spiking form"):
        to_spiking(to_spiking(bundle))


def test_a_difference_is_an_error(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kernel that is broken would make it."""

    def broken(decoder: Any) -> Any:
        with torch.no_grad():
            decoder.stack.layers["readout"].linear.bias.add_(0.25)
        return lower(decoder)

    lower = convert.lower
    monkeypatch.setattr(convert, "lower", broken)
    with pytest.raises(BmiError, match=r"differs by up to 0\.25 on simulated subject 0, seed 1: not written"):
        to_spiking(bundle, simulated(20))
