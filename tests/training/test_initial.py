"""Training that starts from a bundle: of the same decoder, and of the network without spikes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bmi_decoder.bundle import Bundle, write_bundle
from bmi_decoder.cli import main
from bmi_decoder.config import InputFilterSettings, SplitSettings
from bmi_decoder.decoders.check_probe import Trial
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder, decoder_class, decoder_names
from bmi_decoder.decoders.restore import restore_decoder
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.formats import write_npz
from bmi_decoder.layers.lif import Lif
from bmi_decoder.recording import Recording
from bmi_decoder.simulation import SubjectSettings, simulate
from bmi_decoder.training.initial import begin_from
from bmi_decoder.training.run_key import run_key
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train
from bmi_decoder.training.untrained import bundle_of

SIZES: dict[str, Any] = {"hidden1": 24, "hidden2": 16}
N_TRAINED = 1050


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate(SubjectSettings(bin_s=0.05), 75.0)


@pytest.fixture(scope="module")
def ann(recording: Recording) -> Bundle:
    return train(recording, TrainSettings("ann_2d", overrides={**SIZES, "updates": 60, "learning_rate": 1e-2}))


def counts(recording: Recording) -> Tensor:
    return torch.from_numpy(recording.counts[:N_TRAINED].astype(np.float32))


def started(name: str, bundle: Bundle, x: Tensor, settings: dict[str, Any]) -> Decoder:
    torch.manual_seed(5)
    decoder = build_decoder(name, x.shape[1], 2, settings)
    decoder.calibrate(x)
    begin_from(bundle, decoder, x)
    return decoder.eval()


LEARNED = [name for name in decoder_names() if not decoder_class(name).closed_form]


@pytest.mark.parametrize("name", LEARNED)
@torch.no_grad()
def test_the_same_decoder_goes_on_where_the_bundle_is(name: str) -> None:
    """Also on another session, whose statistics are others."""
    cls = decoder_class(name)
    settings = cls.adapt(cls.presets["best"].hyper_parameters, 0.05, are_counts=True)
    trial = Trial(lambda: cls(12, 2, **settings), "counts", 200, 1e-4, None)
    source = trial.ready()
    bundle = bundle_of(source, 0.05)
    x = trial.x[1] * torch.linspace(0, 2, 12).round()
    decoder = started(name, bundle, x, source.hyper_parameters)
    want, got = source(x[None])[0], decoder(x[None])[0]
    assert float(want.std(0).min()) > 0
    # Weights are rounded anew, which may shift a spike; another decoder of the same kind is far below 0.9.
    assert mean_r2(want.numpy(), got.numpy()) > 0.98
    if not any(isinstance(part, Lif) for part in decoder.modules()):
        assert torch.allclose(got, want, rtol=1e-3, atol=1e-3 * float(want.abs().max()))


@pytest.mark.parametrize("name", ["snn_streaming", "snn_3d"])
@pytest.mark.parametrize("standard", [True, False])
@torch.no_grad()
def test_a_spiking_network_starts_near_its_twin(name: str, standard: bool, recording: Recording, ann: Bundle) -> None:
    settings = dict(decoder_class(name).presets["best"].hyper_parameters) | SIZES
    if name == "snn_3d":
        settings |= {"sub_windows": 5, "sub_window_bins": 1}
    elif not standard:
        settings["standardise"] = False
    x = counts(recording)
    settings = decoder_class(name).adapt(settings, 0.05, are_counts=True)
    decoder, twin = started(name, ann, x, settings), restore_decoder(ann)
    estimate, y = twin(x[None])[0].numpy(), decoder(x[None])[0].numpy()
    assert mean_r2(estimate[20:], y[20:]) > 0.4, "no target was seen, and no gradient"
    torch.manual_seed(5)
    scratch = build_decoder(name, x.shape[1], 2, settings)
    scratch.calibrate(x)
    z = scratch.eval()(x[None])[0].numpy()
    gains = [np.polyfit(z[20:, k], estimate[20:, k], 1) for k in range(2)]
    fitted = np.stack([np.polyval(gain, z[20:, k]) for k, gain in enumerate(gains)], 1)
    assert mean_r2(estimate[20:], y[20:]) > mean_r2(estimate[20:], fitted) + 0.2


@torch.no_grad()
def test_one_matrix_per_sub_window_becomes_their_mean(recording: Recording) -> None:
    """With equal matrices ann_3d is ann_2d, and gives the same spiking network."""
    flat = build_decoder("ann_2d", 96, 2, {**SIZES, "boxcar": 4}).eval()
    deep = build_decoder("ann_3d", 96, 2, {**SIZES, "sub_windows": 4, "sub_window_bins": 1}).eval()
    tensors = dict(flat.state_dict())
    tensors["stack.layers.dense1.linear.weight"] = tensors["stack.layers.dense1.linear.weight"].repeat(1, 4)
    deep.load_state_dict(tensors)
    x, outputs = counts(recording), []
    for twin in (flat, deep):
        torch.manual_seed(0)
        decoder = build_decoder("snn_streaming", 96, 2, {**SIZES, "graded_limit": 15.0, "output_scale": 0.5})
        decoder.take_twin(twin, x)
        outputs.append(decoder.eval()(x[None])[0])
    assert torch.allclose(outputs[0], outputs[1], atol=1e-3 * float(outputs[0].abs().max()))


def test_training_goes_on_from_the_bundle(recording: Recording, ann: Bundle) -> None:
    few = {**SIZES, "epochs": 1}
    scratch = train(recording, TrainSettings("snn_streaming", overrides=few))
    settings = TrainSettings("snn_streaming", overrides=few, init_from=ann)
    bridged = train(recording, settings)
    assert bridged.manifest.metrics["validation"]["raw"]["r2"] > scratch.manifest.metrics["validation"]["raw"]["r2"]
    assert bridged.manifest.training.init_from is not None
    assert bridged.manifest.training.init_from.startswith("ann_2d ")
    assert scratch.manifest.training.init_from is None
    assert run_key("f", settings) != run_key("f", TrainSettings("snn_streaming", overrides=few))
    # Hyper-parameters come from a bundle of the same decoder, not from the preset.
    tuned = train(recording, TrainSettings("ann_2d", overrides={"epochs": 1, "learning_rate": 1e-6}, init_from=ann))
    assert tuned.manifest.hyper_parameters == ann.manifest.hyper_parameters
    figures = [bundle.manifest.metrics["validation"]["raw"]["r2"] for bundle in (ann, tuned)]
    assert figures[1] == pytest.approx(figures[0], abs=0.02)


@pytest.mark.parametrize(
    ("decoder", "overrides", "message"),
    [
        ("lstm", {}, "decoder 'lstm' cannot start from a bundle of 'ann_2d'; it takes bundles of 'lstm'"),
        ("tiny_rsnn", {}, "cannot start from a bundle of 'ann_2d'; it takes bundles of 'tiny_rsnn'"),
        ("snn_3d", {}, "24 and 16 units: train with --set hidden1=24 --set hidden2=16"),
        ("snn_3d", {**SIZES, "normalise": "layer"}, "only with normalise=standard"),
        ("ann_2d", {"hidden1": 8}, "other sizes"),
        ("wiener", {}, "closed form, so it cannot start"),
    ],
)
def test_what_cannot_be_is_refused(
    decoder: str, overrides: dict[str, Any], message: str, recording: Recording, ann: Bundle
) -> None:
    with pytest.raises(InputError, match=message):
        train(recording, TrainSettings(decoder, overrides=overrides, init_from=ann))


def test_another_kind_of_input_is_refused(recording: Recording, ann: Bundle) -> None:
    filtered = InputFilterSettings(cutoff_hz=5.0, order=2, width=16)
    with pytest.raises(InputError, match="None as input filter, this run has"):
        train(recording, TrainSettings("ann_2d", input_filter=filtered, init_from=ann))
    other = simulate(SubjectSettings(bin_s=0.1), 75.0)
    with pytest.raises(InputError, match=r"0.05 seconds per bin, this run has 0.1"):
        train(other, TrainSettings("ann_2d", init_from=ann))


def test_what_judges_a_run_may_not_have_been_learnt(recording: Recording, ann: Bundle) -> None:
    earlier = SplitSettings(train=0.6, validation=0.2, test=0.2)
    with pytest.raises(InputError, match=r"its split is 0\.7,0\.1,0\.2 by time; use the same"):
        train(recording, TrainSettings("ann_2d", split=earlier, init_from=ann))


def test_pretraining_and_a_bundle_exclude_each_other(recording: Recording, ann: Bundle) -> None:
    other = simulate(SubjectSettings(bin_s=0.05, seed=1), 75.0)
    with pytest.raises(InputError, match="choose one of the two"):
        train(recording, TrainSettings("ann_2d", init_from=ann), pretrain_on=[other])


def test_the_command(recording: Recording, ann: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npz(recording, tmp_path / "r.npz")
    write_bundle(ann, tmp_path / "ann.bmi")
    command = ["train", str(tmp_path / "r.npz"), "--out", str(tmp_path / "x.bmi"), "--set", "epochs=1"]
    sizes = ["--set", "hidden1=24", "--set", "hidden2=16"]
    init = ["--init-from", str(tmp_path / "ann.bmi")]
    assert main([*command, *sizes, *init, "--decoder", "snn_streaming"]) == 0
    assert main([*command, *init, "--decoder", "gru"]) == 2
    assert "cannot start from a bundle of 'ann_2d'" in capsys.readouterr().err
