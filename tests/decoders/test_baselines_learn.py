"""The baselines learn an easy task in the common loop, and what is deployed is what was judged."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.recording import Output, Recording
from bmi_decoder.training.fit import fit
from bmi_decoder.training.recipe import Recipe
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train
from tests.decoders.test_closed_form import task

GRADED = {"graded_limit": 8.0, "graded_step": 0.0625}
SMALL: dict[str, dict[str, Any]] = {
    "gru": {"hidden": 16, "dropout": 0.0},
    "ae_gru": {"hidden": 16, "latent": 12, "windows": 3, "width_s": 0.0, "dropout": 0.0, "earlier_labels": True,
               "sampling": 8, "initial": "torch"},
    "ann_2d": {"boxcar": 2, "standardise": True},
    "ann_3d": {"sub_windows": 3, "sub_window_bins": 1, "standardise": True},
    "snn_3d": {
        "hidden1": 48, "sub_windows": 4, "sub_window_bins": 1, "normalise": "standard", "per_neuron": True,
        "output_scale": 0.5, **GRADED,
    },
    "l2mu": {
        "encoders": 12, "hidden": 64, "order": 3, "window": 4.0, "betas": [0.3] * 4, "standardise": True,
        "per_neuron": True, "output_scale": 0.5, **GRADED,
    },
    "s5_rf": {
        "hidden": 64, "blocks": 32, "eta_min": 0.3, "eta_max": 2.0, "readout_decay": 0.5, "fluctuation": 0.3,
        "input_variance": 1.0, "standardise": True, **GRADED,
    },
    "tiny_rsnn": {
        "tau_membrane": 1.0, "tau_synapse": 0.5, "readout_taus": [[0.5, 1.0]], "delayed": False, "input_rate": 1.0,
        "standardise": True, "slope": 5.0, **GRADED,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SMALL))
def test_learns_and_keeps_what_it_learnt(name: str) -> None:
    train_part, validation = task()
    torch.manual_seed(1)
    decoder = build_decoder(name, 12, 2, SMALL[name])
    recipe = Recipe(updates=300, learning_rate=1e-2)  # with averaged weights, whose buffers must be right too
    report = fit(decoder, train_part, validation, recipe, 0.05, 0, are_counts=False)
    assert report.validation_r2 > 0.85
    decoder.finalise()
    with torch.no_grad():
        y = decoder.eval()(validation.x[None])[0]
    assert mean_r2(validation.y, y) == pytest.approx(report.validation_r2, abs=0.01)
    assert float(y[:, 1].mean()) == pytest.approx(float(validation.y[:, 1].mean()), abs=4)


def test_settings_of_the_loop_are_refused_where_there_is_none() -> None:
    part, _ = task()
    outputs = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    recording = Recording(part.x.numpy().clip(0).round(), part.y.numpy(), outputs, bin_s=0.05)
    with pytest.raises(InputError, match="'wiener' is fitted in closed form: learning_rate would have no effect"):
        train(recording, TrainSettings("wiener", overrides={"learning_rate": 0.1}))
    bundle = train(recording, TrainSettings("wiener", overrides={"history": 4}))
    assert bundle.manifest.hyper_parameters["history"] == 4
    assert bundle.manifest.hyper_parameters["ridge"] is not None, "the choice is on record"
