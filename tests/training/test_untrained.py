"""Decoders with initial weights, as benchmarks need them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.training.untrained import main, untrained

FILTERS = OutputFilterSettings(low_latency=BlockFilterSettings(cutoff_hz=6.25))


@pytest.mark.parametrize("name", ["lstm", "snn_streaming", "wiener"])
def test_it_runs_as_a_trained_one_does(name: str) -> None:
    decoder, bundle = untrained(name, 12, 0.004, output_filters=FILTERS)
    pipeline = Pipeline(bundle)
    assert (pipeline.n_channels, pipeline.bin_s, len(pipeline.variants)) == (12, 0.004, 2)
    counts = np.random.default_rng(2).poisson(0.1, (200, 12))
    y = pipeline.run(counts)
    assert np.isfinite(y).all()
    assert y.std() > 0
    assert not decoder.training
    again = Pipeline(untrained(name, 12, 0.004, output_filters=FILTERS)[1]).run(counts)
    np.testing.assert_array_equal(y, again)


def test_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = {
        "name": "lstm",
        "n_channels": 7,
        "bin_s": 0.01,
        "hyper_parameters": {"hidden": 9},
        "output_filters": FILTERS.model_dump(mode="json"),
    }
    out = tmp_path / "lstm.bmi"
    assert main(json.dumps(order), out) == 0
    manifest = read_bundle(out).manifest
    assert (manifest.n_channels, manifest.hyper_parameters["hidden"]) == (7, 9)
    assert main(json.dumps({**order, "hyper_parameters": {"hiden": 9}}), tmp_path / "no.bmi") == 1
    assert "hiden" in capsys.readouterr().err
    assert not (tmp_path / "no.bmi").exists()
