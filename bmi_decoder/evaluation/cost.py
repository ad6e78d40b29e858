"""What a bundle costs to run, as far as it can be told here."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from bmi_decoder.bundle import Bundle
from bmi_decoder.errors import BmiError
from bmi_decoder.machine.executor import Executor
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording

MOST_BINS = 20_000
"""Bins that operations are measured on; a recording has enough of them for three digits."""


def operations(bundle: Bundle, recording: Recording, start: int, stop: int) -> dict[str, Any]:
    """Operations per bin of the raw decoder on bins ``start`` to ``stop``.

    Counts need the torch parameters, hence the training extra and the decoder's package. See
    `bmi_decoder.evaluation.operations.measure_operations`; no more than `MOST_BINS` are measured.

    Returns
    -------
    dict
        ``operations`` and ``bit_budget``, both None where they cannot be counted; ``operations_missing`` then says
        why, and is None otherwise.
    """
    if find_spec("torch") is None:
        return _missing("operations are counted on the torch parameters: pip install 'bmi-decoder[train]'")
    import torch

    from bmi_decoder.decoders.restore import restore_decoder
    from bmi_decoder.evaluation.operations import measure_operations
    from bmi_decoder.training.decoder_input import decoder_input

    try:
        decoder = restore_decoder(bundle)
        stop = min(stop, start + MOST_BINS)
        x = torch.from_numpy(decoder_input(recording, bundle.manifest.input_filter))
        spans = [(max(a, start), min(b, stop)) for a, b in recording.spans if a < stop and b > start]
        counted = measure_operations(decoder, [x[a:b] for a, b in spans])
        return {"operations": counted, "operations_missing": None, "bit_budget": counted.pop("bit_budget")}
    except BmiError as error:
        return _missing(str(error))


def _missing(reason: str) -> dict[str, Any]:
    return {"operations": None, "operations_missing": reason, "bit_budget": None}


def filter_operations(pipeline: Pipeline) -> dict[str, int]:
    """Multiply-accumulates that each variant's output filter adds per bin."""
    n_outputs = pipeline.shape[1]
    widths = [0, *(len(taps) for taps in pipeline.output_taps)]
    return {variant.name: n_outputs * width for variant, width in zip(pipeline.variants, widths, strict=True)}


def memory(bundle: Bundle, pipeline: Pipeline) -> dict[str, int | None]:
    """Bytes that the live pipeline holds: parameters, working memory and instructions; the bundle's torch weights.

    The first three are None for a decoder that runs through ONNX.
    """
    sizes: dict[str, int | None] = {"parameter_bytes": None, "arena_bytes": None, "instruction_bytes": None}
    if isinstance(pipeline.engine, Executor):
        program = pipeline.engine.program
        sizes = {
            "parameter_bytes": program.params.nbytes,
            "arena_bytes": 4 * program.arena_size,
            "instruction_bytes": program.instructions.nbytes,
        }
    return {**sizes, "weights_file_bytes": len(bundle.weights)}
