"""A decoder with initial weights as a bundle: what benchmarks need, where accuracy does not matter.

``python -m bmi_decoder.training.untrained JSON BUNDLE`` writes one; the JSON object has the parameters of `untrained`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmi_decoder.bundle import FLOAT_BITS, Bundle, Manifest, OutputInfo, TrainingInfo, write_bundle
from bmi_decoder.config import OutputFilterSettings, SplitSettings
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder, decoder_class
from bmi_decoder.errors import BmiError
from bmi_decoder.training.export import export_onnx, export_weights, lower
from bmi_decoder.training.manifest import versions

_MEAN_RATE_HZ = 20.0
_SEEN_BINS = 2000


def untrained(
    name: str,
    n_channels: int,
    bin_s: float,
    n_outputs: int = 2,
    preset: str = "best",
    hyper_parameters: Mapping[str, Any] | None = None,
    output_filters: OutputFilterSettings | None = None,
) -> tuple[Decoder, Bundle]:
    """A decoder as `train` would deploy it, but with the initial weights of seed 0.

    Its statistics are taken from Poisson counts of 20 spikes/s, so that spiking layers are neither silent nor
    saturated.

    Parameters
    ----------
    name, preset : str
    n_channels, n_outputs : int
    bin_s : float
    hyper_parameters : mapping, optional
        In place of the preset's.
    output_filters : OutputFilterSettings, optional

    Returns
    -------
    (Decoder, Bundle)
    """
    cls = decoder_class(name)
    chosen = cls.adapt({**cls.presets[preset].hyper_parameters, **(hyper_parameters or {})}, bin_s, are_counts=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = build_decoder(name, n_channels, n_outputs, chosen)
    counts = np.random.default_rng(0).poisson(_MEAN_RATE_HZ * bin_s, (_SEEN_BINS, n_channels)).astype(np.float32)
    x = torch.from_numpy(counts)
    if decoder.closed_form:
        y = torch.from_numpy(np.random.default_rng(1).standard_normal((_SEEN_BINS, n_outputs)).astype(np.float32))
        decoder.fit_closed_form(x, y, x, y)
    else:
        decoder.calibrate(x)
    decoder.finalise(x_step=1.0)
    decoder.eval()
    return decoder, bundle_of(decoder, bin_s, preset=preset, output_filters=output_filters)


def bundle_of(
    decoder: Decoder,
    bin_s: float,
    source: str = "untrained",
    fingerprint: str = "0" * 64,
    preset: str = "best",
    outputs: Sequence[OutputInfo] | None = None,
    output_filters: OutputFilterSettings | None = None,
) -> Bundle:
    """A decoder as it is, in a bundle that tells of no training.

    Parameters
    ----------
    decoder : Decoder
        Finalised.
    bin_s : float
    source, fingerprint : str
        What the manifest names as training data.
    preset : str
    outputs : sequence of OutputInfo, optional
        None names them y0, y1 and so on.
    output_filters : OutputFilterSettings, optional
    """
    split = SplitSettings()
    named = [OutputInfo(name=f"y{i}", unit="1") for i in range(decoder.n_outputs)] if outputs is None else outputs
    manifest = Manifest(
        decoder=decoder.name,
        hyper_parameters=decoder.hyper_parameters,
        weight_bits=next((codes.bits for codes in decoder.row_codes.values()), FLOAT_BITS),
        n_channels=decoder.n_channels,
        channels=tuple(f"ch{i}" for i in range(decoder.n_channels)),
        bin_s=bin_s,
        outputs=tuple(named),
        output_filters=OutputFilterSettings() if output_filters is None else output_filters,
        training=TrainingInfo(
            source=source,
            fingerprint=fingerprint,
            split=(split.train, split.validation, split.test),
            preset=preset,
            recipe={},
            seed=0,
            epochs=0,
            best_epoch=0,
            seconds=0.0,
        ),
        versions=versions(),
    )
    return Bundle(manifest, lower(decoder), export_weights(decoder), export_onnx(decoder))


def main(order: str, path: Path) -> int:
    """Write the bundle; returns 0, or 1 with the reason on standard error."""
    arguments = json.loads(order)
    filters = OutputFilterSettings.model_validate(arguments.pop("output_filters"))
    try:
        write_bundle(untrained(**arguments, output_filters=filters)[1], path)
    except BmiError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
