"""What a mask is worth: accuracy with faulty channels, as they are and with constants in their place.

``python benchmarks/masking.py RECORDING BUNDLE... [--json FILE]`` decodes the recording with some channels drawn at
random that are noisy (Poisson counts at five times their mean, and one more) or stuck (at their greatest count), and
holds the raw outputs against the movement in the part that the decoder was validated on. Means over draws.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.commands.options import write_json
from bmi_decoder.config import OutputFilterSettings
from bmi_decoder.evaluation.r2 import mean_of_finite, r2_per_output
from bmi_decoder.formats import read_recording
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording

Counts = npt.NDArray[np.float32]


def measure(bundle: Bundle, recording: Recording, shares: list[float], draws: int) -> dict[str, Any]:
    """R2 of a decoder with none, and with some of its channels faulty."""
    bounds = bundle.manifest.training.bounds
    assert bounds is not None and bundle.manifest.training.channel_means is not None
    counts = np.ascontiguousarray(recording.counts[: bounds[1]], np.float32)
    truth, n_channels = recording.kinematics[bounds[0] : bounds[1]], recording.n_channels

    def r2(given: Counts, masked: tuple[int, ...] = ()) -> float:
        decoded = Pipeline(bundle, OutputFilterSettings(), masked).run(given)
        return mean_of_finite(r2_per_output(truth, decoded[bounds[0] :, 0]))

    result: dict[str, Any] = {"decoder": bundle.manifest.decoder, "preset": bundle.manifest.training.preset}
    result["intact"] = r2(counts)
    for share in shares:
        n = round(share * n_channels)
        figures: dict[str, list[float]] = {name: [] for name in ("noisy", "stuck", "zero", "mean", "masked")}
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            faulty = np.sort(rng.choice(n_channels, n, replace=False))
            means = counts[: bounds[0], faulty].mean(axis=0)
            for name, values in {
                "noisy": rng.poisson(5 * means + 1, (len(counts), n)),
                "stuck": counts[:, faulty].max(axis=0),
                "zero": 0,
                "mean": means,
            }.items():
                given = counts.copy()
                given[:, faulty] = values
                figures[name].append(r2(given))
            # What stands in the channel makes no difference any more.
            given[:, faulty] = counts[:, faulty].max(axis=0)
            figures["masked"].append(r2(given, tuple(faulty.tolist())))
        result[f"{n} channels"] = {name: round(float(np.mean(values)), 4) for name, values in figures.items()}
    return result


def main() -> None:
    """Measure every bundle, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.02, 0.1], help="of the channels, that are faulty")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    results = []
    for path in options.bundles:
        bundle = read_bundle(path)
        recording = read_recording(options.recording, bundle.manifest.bin_s)
        found = measure(bundle, recording, options.shares, options.draws)
        results.append(found)
        for name, figures in found.items():
            if isinstance(figures, dict):
                row = " ".join(f"{kind} {value:.3f}" for kind, value in figures.items())
                print(f"{found['decoder']} ({found['preset']}), intact {found['intact']:.3f}, {name}: {row}")
    write_json(options.json, results)


if __name__ == "__main__":
    main()
