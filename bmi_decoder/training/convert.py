"""From a trained decoder to the spiking network that computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bmi_decoder.bundle import Bundle
from bmi_decoder.config import OutputFilterSettings
from bmi_decoder.decoders.registry import decoder_class, decoder_names
from bmi_decoder.decoders.restore import restore_decoder
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.evaluation.operations import measure_operations
from bmi_decoder.layers.spiking_rnn import SpikingRnn
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording
from bmi_decoder.training.decoder_input import decoder_input
from bmi_decoder.training.export import export_onnx, export_weights, lower


def to_spiking(bundle: Bundle, check: Recording | None = None) -> Bundle:
    """The same decoder out of spiking neurons.

    Filters, metrics and the training record are kept, because the estimates are the same to the last bit.

    Parameters
    ----------
    bundle : Bundle
        Of a decoder that has a spiking twin, such as qcrnn.
    check : Recording, optional
        Decoded from beginning to end by both; `Manifest.conversion` then tells what was seen.

    Raises
    ------
    InputError
        If the decoder has no spiking twin, or the recording does not fit it.
    BmiError
        If one estimate of the recording differs.
    """
    name = bundle.manifest.decoder
    twin = decoder_class(name).spiking_twin
    if twin is None:
        able = [other for other in decoder_names() if decoder_class(other).spiking_twin is not None]
        raise InputError(
            f"decoder {name!r} has no spiking form that computes the same; {', '.join(able)} has: train that one"
        )
    manifest = bundle.manifest.model_copy(update={"decoder": twin})
    decoder = restore_decoder(Bundle(manifest, None, bundle.weights, bundle.onnx))
    bound = max(part.bounds[-1] for part in decoder.modules() if isinstance(part, SpikingRnn))
    conversion: dict[str, Any] = {"source": name, "inner_step_bound": bound}
    converted = Bundle(manifest, lower(decoder), export_weights(decoder), export_onnx(decoder))
    if check is not None:
        difference = largest_difference(bundle, converted, check)
        if difference != 0:
            raise BmiError(f"the converted decoder differs by up to {difference:.3g} on {check.source}: not written")
        x = torch.from_numpy(decoder_input(check, manifest.input_filter))
        conversion |= {
            "recording": check.source,
            "fingerprint": check.fingerprint(),
            "bins": check.n_bins,
            "largest_difference": difference,
            "inner_steps": measure_operations(decoder, [x[a:b] for a, b in check.spans])["inner_steps"],
        }
    manifest = manifest.model_copy(update={"conversion": conversion})
    return Bundle(manifest, converted.program, converted.weights, converted.onnx)


def largest_difference(one: Bundle, other: Bundle, recording: Recording) -> float:
    """Largest difference between the raw estimates of two bundles in any bin of a recording."""
    raw = [Pipeline(bundle, OutputFilterSettings()).decode(recording) for bundle in (one, other)]
    return float(np.abs(raw[0].astype(np.float64) - raw[1]).max())
