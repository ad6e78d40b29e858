"""How closely a bundle's four forms agree over a whole recording, and how fast the machine decodes it.

``python benchmarks/agreement.py BUNDLE RECORDING [--json FILE]`` compares the torch step, the torch forward pass, the
streaming machine and the ONNX step (largest absolute difference from the torch step), and times the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load as load_weights

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.commands.options import write_json
from bmi_decoder.config import OutputFilterSettings
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.formats import read_recording
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from bmi_decoder.onnx_executor import OnnxExecutor
from bmi_decoder.pipeline import Pipeline

_ROUNDS = 7


def torch_decoder(bundle: Bundle) -> Decoder:
    """The torch module of a bundle, with its weights."""
    manifest = bundle.manifest
    decoder = build_decoder(
        manifest.decoder, manifest.n_channels, len(manifest.outputs), dict(manifest.hyper_parameters)
    )
    decoder.load_state_dict(load_weights(bundle.weights))
    return decoder.eval()


def forms(bundle: Bundle, x: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Raw outputs (T, K) of the decoder alone on x (T, C), by form."""
    decoder = torch_decoder(bundle)
    outputs = {}
    with torch.no_grad():
        rows = torch.from_numpy(x)
        state, steps = decoder.initial_state(1), []
        for t in range(len(rows)):
            y, state = decoder.step(rows[t : t + 1], state)
            steps.append(y)
        outputs["torch step"] = torch.cat(steps).numpy()
        outputs["torch forward"] = decoder(rows[None])[0].numpy()
    if bundle.program is not None:
        outputs["machine"] = Executor(bundle.program).run(x)
    identity = Builder(len(bundle.manifest.outputs))
    identity.output(identity.input())
    onnx = OnnxExecutor(bundle.onnx, x.shape[1], len(bundle.manifest.outputs), None, Executor(identity.build()))
    outputs["onnx"] = onnx.run(x)
    return outputs


def bins_per_second(bundle: Bundle, counts: npt.NDArray[np.float32], filters: bool) -> float:
    """Median rate of the machine over the whole recording, with or without output filters."""
    pipeline = Pipeline(bundle, None if filters else OutputFilterSettings())
    rates = []
    for _ in range(_ROUNDS):
        pipeline.reset()
        start = time.perf_counter()
        pipeline.run(counts)
        rates.append(len(counts) / (time.perf_counter() - start))
    return statistics.median(rates)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--json", default="-")
    options = parser.parse_args()
    bundle = read_bundle(options.bundle)
    counts = read_recording(options.recording, bundle.manifest.bin_s).counts.astype(np.float32)
    outputs = forms(bundle, counts)
    reference = outputs.pop("torch step")
    result: dict[str, Any] = {
        "decoder": bundle.manifest.decoder,
        "bins": len(counts),
        "largest_difference_from_torch_step": {
            name: float(np.abs(values - reference).max()) for name, values in outputs.items()
        },
        "bit_identical": {name: bool(np.array_equal(values, reference)) for name, values in outputs.items()},
        "bins_per_second": round(bins_per_second(bundle, counts, filters=False)),
        "bins_per_second_with_output_filters": round(bins_per_second(bundle, counts, filters=True)),
    }
    write_json(options.json, result)


if __name__ == "__main__":
    main()
