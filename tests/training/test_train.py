"""From a recording to a bundle, and that what is deployed is what was trained."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch

from bmi_decoder.bundle import Bundle, read_bundle, write_bundle
from bmi_decoder.config import InputFilterSettings, OutputFilterSettings, SplitSettings
from bmi_decoder.decoders import registry
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.evaluation.variants import evaluate
from bmi_decoder.onnx_executor import OnnxExecutor
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording
from bmi_decoder.training.decoder_input import decoder_input as training_input
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train
from filters import BlockBidirectional, bessel_sos, variant_position
from tests.training.conftest import FEW_STEPS, TrainedBundle

KINDS = [
    pytest.param("lstm", False, id="lstm"),
    pytest.param("lstm", True, id="lstm-filtered"),
    pytest.param("snn_streaming", False, id="snn"),
    pytest.param("snn_streaming", True, id="snn-filtered"),
]


def torch_module(bundle: Bundle) -> Decoder:
    """The decoder again, from what a bundle says of it and from its weights."""
    manifest = bundle.manifest
    decoder = build_decoder(
        manifest.decoder, manifest.n_channels, len(manifest.outputs), dict(manifest.hyper_parameters)
    )
    decoder.load_state_dict(safetensors.torch.load(bundle.weights))
    return decoder.eval()


def decoder_input(bundle: Bundle, recording: Recording) -> np.ndarray:
    """What comes to the decoder, by the filter library and not by the machine."""
    settings = bundle.manifest.input_filter
    if settings is None:
        return recording.counts.astype(np.float32)
    rate_hz = 1 / recording.bin_s
    block = BlockBidirectional(
        bessel_sos(settings.order, settings.cutoff_hz, rate_hz),
        settings.width,
        variant_position(settings.variant, settings.width),
        settings.boundary,
        recording.n_channels,
        rate_hz=rate_hz,
    )
    return block.process(recording.counts).astype(np.float32)


@pytest.mark.parametrize(("name", "filtered"), KINDS)
def test_the_pipeline_decodes_as_the_trained_module(
    name: str, filtered: bool, trained: TrainedBundle, recording: Recording, tmp_path: Path
) -> None:
    bundle = trained(name, filtered)
    write_bundle(bundle, tmp_path / "decoder.bmi")
    decoded = Pipeline(read_bundle(tmp_path / "decoder.bmi")).decode(recording)
    assert decoded.shape == (15_000, 3, 2)
    x = decoder_input(bundle, recording)
    with torch.no_grad():
        want = torch_module(bundle)(torch.from_numpy(x)[None])[0].numpy()
    assert want.std() > 0.01
    allowed = 0.0 if name == "snn_streaming" and not filtered else 1e-4
    assert np.abs(decoded[:, 0] - want).max() <= allowed


@pytest.mark.parametrize(("name", "filtered"), KINDS)
def test_the_portable_step_decodes_as_the_program(
    name: str, filtered: bool, trained: TrainedBundle, recording: Recording
) -> None:
    bundle = trained(name, filtered)
    pipeline = Pipeline(bundle, OutputFilterSettings())
    portable = Pipeline(dataclasses.replace(bundle, program=None), OutputFilterSettings())
    assert isinstance(portable.engine, OnnxExecutor)
    counts = recording.counts[:3000]
    allowed = 0.0 if name == "snn_streaming" else 1e-4
    assert np.abs(portable.run(counts) - pipeline.run(counts)).max() <= allowed


@pytest.mark.parametrize(("name", "filtered"), KINDS)
def test_the_manifest_tells_where_the_decoder_comes_from(
    name: str, filtered: bool, trained: TrainedBundle, recording: Recording
) -> None:
    manifest = trained(name, filtered).manifest
    assert manifest.decoder == name
    assert manifest.hyper_parameters.items() >= {k: v for k, v in FEW_STEPS[name].items() if k != "epochs"}.items()
    assert (manifest.n_channels, manifest.bin_s) == (96, 0.004)
    assert manifest.channels == recording.channels
    assert [(output.name, output.unit) for output in manifest.outputs] == [
        ("x_velocity", "m/s"),
        ("y_velocity", "m/s"),
    ]
    assert (manifest.input_filter is not None) == filtered
    training = manifest.training
    assert training.fingerprint == recording.fingerprint()
    assert training.source == "simulated subject 0, seed 0"
    assert (training.preset, training.seed, training.epochs) == ("best", 3, 2)
    assert training.recipe["epochs"] == 2
    assert 1 <= training.best_epoch <= 2
    assert {"bmi-decoder", "python", "torch", "numpy"} <= set(manifest.versions)


def test_metrics_are_those_of_the_deployed_pipeline(trained: TrainedBundle, recording: Recording) -> None:
    bundle = trained("lstm")
    metrics = bundle.manifest.metrics
    assert metrics["test"] == evaluate(Pipeline(bundle), recording, 12_000)
    assert metrics["validation"] == evaluate(Pipeline(bundle), recording, 10_500, 12_000)
    assert list(metrics["test"]) == ["raw", "low_latency", "high_accuracy"]
    decoded = Pipeline(bundle).decode(recording)[12_000:, 0]
    assert metrics["test"]["raw"]["r2"] == mean_r2(recording.kinematics[12_000:], decoded)


def test_output_filters_are_chosen_on_the_validation_part(trained: TrainedBundle, recording: Recording) -> None:
    manifest = trained("lstm").manifest
    assert [name for name, _ in manifest.output_filters.items()] == ["low_latency", "high_accuracy"]
    for variant in ("low_latency", "high_accuracy"):
        evidence = manifest.filter_evidence[variant]
        assert evidence["chosen_r2"] >= evidence["candidates"][-1]["r2"]
        assert evidence["chosen_r2"] > evidence["raw_r2"] - 0.02


def test_an_input_filter_changes_how_a_spiking_decoder_takes_its_channels(trained: TrainedBundle) -> None:
    assert trained("snn_streaming", True).manifest.hyper_parameters["graded_step"] == 0.0625
    assert trained("snn_streaming", False).manifest.hyper_parameters["graded_step"] == 1.0


def test_the_same_seed_gives_the_same_bundle(recording: Recording, tmp_path: Path) -> None:
    short = recording.slice(0, 3000)
    data = []
    for i, seed in enumerate((5, 5, 6)):
        torch.rand(i)
        bundle = train(short, TrainSettings("snn_streaming", overrides={"epochs": 1, "hidden1": 8}, seed=seed))
        training = bundle.manifest.training.model_copy(update={"seconds": 0.0, "seed": 0})
        manifest = bundle.manifest.model_copy(update={"training": training})
        write_bundle(dataclasses.replace(bundle, manifest=manifest), tmp_path / f"{i}.bmi")
        data.append((tmp_path / f"{i}.bmi").read_bytes())
    assert data[0] == data[1]
    assert data[0] != data[2]


def test_the_portable_step_is_named_and_shaped_as_promised(trained: TrainedBundle) -> None:
    session = onnxruntime.InferenceSession(trained("lstm").onnx)
    assert {value.name: value.shape for value in session.get_inputs()} == {
        "x": [1, 96],
        "lstm.h": [1, 12],
        "lstm.c": [1, 12],
    }
    assert [value.name for value in session.get_outputs()] == ["y", "next.lstm.h", "next.lstm.c"]


def test_segments_start_anew(recording: Recording) -> None:
    """Also the input filter: nothing of one segment reaches into the next."""
    cut = dataclasses.replace(recording, segments=((0, 7000), (7000, 15_000)))
    settings = TrainSettings(
        "lstm", overrides={"epochs": 1, "hidden": 4}, input_filter=InputFilterSettings(cutoff_hz=20.0, width=16)
    )
    bundle = train(cut, settings)
    second = recording.slice(7000, 15_000)
    assert np.array_equal(Pipeline(bundle).decode(cut)[7000:], Pipeline(bundle).decode(second))
    learned_from = training_input(cut, settings.input_filter)
    np.testing.assert_allclose(learned_from[7000:], decoder_input(bundle, second), rtol=0, atol=1e-6)
    np.testing.assert_allclose(learned_from[:7000], decoder_input(bundle, recording)[:7000], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder": "lsmt"}, "there is no decoder 'lsmt'; choose one of"),
        ({"preset": "worst"}, "decoder 'lstm' has no preset 'worst'; choose one of paper, best"),
        ({"overrides": {"hiden": 3}}, "unexpected keyword argument 'hiden'; see 'bmi-decoder decoders'"),
        ({"overrides": {"epochs": "many"}}, "training setting epochs is 'many'"),
        ({"overrides": {"learning_rate": -1}}, "training setting learning_rate is -1: .*greater than 0"),
        ({"overrides": {"unit_dropout": 1.0}}, "training setting unit_dropout is 1.0"),
        ({"overrides": {"dropout": 3}}, "decoder 'lstm': dropout"),
        ({"seed": -1}, "seed must be 0 to"),
        ({"seed": 1 << 63}, "seed must be 0 to"),
        ({"input_filter": InputFilterSettings(cutoff_hz=200.0)}, "low_latency filter at 250 bins/s: .*125"),
        ({"input_filter": InputFilterSettings(cutoff_hz=5.0, order=8, width=8)}, "low_latency filter at 250 bins/s"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict, message: str, recording: Recording) -> None:
    with pytest.raises(InputError, match=message) as caught:
        train(recording.slice(0, 1000), TrainSettings(**{"decoder": "lstm", **changes}))
    assert "\n" not in str(caught.value)


def test_a_recording_that_is_too_short_is_refused(recording: Recording) -> None:
    with pytest.raises(InputError, match=r"simulated subject 0, seed 0 has 600 bins; each part .* 64 at least"):
        train(recording.slice(0, 600), TrainSettings("lstm"))
    parts = SplitSettings(train=0.78, validation=0.11, test=0.11)
    bundle = train(recording.slice(0, 600), TrainSettings("lstm", overrides={"epochs": 1, "hidden": 2}, split=parts))
    assert bundle.manifest.training.split == (0.78, 0.11, 0.11)


def test_a_decoder_of_another_package_is_trained_and_runs_through_onnx(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `lower`, with a learned first state, behind an input filter."""
    points = EntryPoints([EntryPoint("smooth", "tests.decoders.plugin:SmoothDecoder", registry.GROUP)])
    monkeypatch.setattr(registry, "entry_points", lambda **wanted: points.select(**wanted))
    entry = InputFilterSettings(cutoff_hz=10.0, order=2, width=16)
    bundle = train(
        recording,
        TrainSettings("smooth", overrides={"decay": 0.98, "epochs": 8, "learning_rate": 0.1}, input_filter=entry),
    )
    assert bundle.program is None
    write_bundle(bundle, tmp_path / "smooth.bmi")
    pipeline = Pipeline(read_bundle(tmp_path / "smooth.bmi"))
    decoded = pipeline.decode(recording)
    with torch.no_grad():
        module = torch_module(bundle)
        want = module(torch.from_numpy(decoder_input(bundle, recording))[None])[0].numpy()
    assert module.initial_state(1)["average"].abs().min() > 1e-3
    np.testing.assert_allclose(decoded[:, 0], want, rtol=0, atol=1e-5)
    assert bundle.manifest.metrics["test"]["raw"]["r2"] > 0.1
    pipeline.reset()
    assert np.array_equal(pipeline.run(recording.counts[:50]), decoded[:50])
