"""The seed paper's claim on the simulator: what its output filters do to the R2 of spiking and other decoders.

``python benchmarks/filtering_claim.py --json result.json`` trains the paper's five decoders with its recipes, and one
of them with another initial value, on three simulated subjects at 4 ms bins, each with one session and one training
seed of its own. Every trained decoder is judged on its test part raw, behind the paper's block-bidirectional Bessel
filter, behind the same filter with another boundary, and behind the filter that training chose on validation data.

Bundles are kept in ``--work`` under a key of data, settings and code, and a bundle that is there is not trained again.
``benchmarks/filtering_claim_picture.py`` draws the result.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.commands.compare import default_work
from bmi_decoder.commands.options import say, write_json
from bmi_decoder.comparison.compare import compare
from bmi_decoder.comparison.entrant import Entrant
from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings, SplitSettings
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.evaluation.variants import valid_bins
from bmi_decoder.pipeline import Pipeline, filter_lookahead, filter_taps
from bmi_decoder.recording import Recording
from bmi_decoder.simulation import SubjectSettings, simulate

ENTRANTS = (
    *(Entrant(name, name, "paper") for name in ("ann_2d", "ann_3d", "snn_3d", "snn_streaming", "lstm")),
    # Drawn from N(0, 1), as published, an output factor near 0 can leave an output dead.
    Entrant("snn_streaming, v = 0.5", "snn_streaming", "paper", {"output_scale": 0.5}),
)
PAPER = BlockFilterSettings(order=4, cutoff_hz=6.25, width=32, boundary="odd")
BANDS_HZ = (1.0, 3.0, 6.25)
"""Edges of the bands in which the error is given, beside 0 and half the bin rate."""

FILTERS: dict[str, OutputFilterSettings | None] = {
    "paper": OutputFilterSettings(low_latency=PAPER, high_accuracy=PAPER),
    "gust": OutputFilterSettings(high_accuracy=PAPER.model_copy(update={"boundary": "gust"})),
    "chosen": None,
}
"""By name; None takes the bundle's own, chosen on validation data."""


def judged(bundle: Bundle, recording: Recording, start: int) -> dict[str, Any]:
    """R2 and error per band of every form of a decoder's output, in the bins from `start` on."""
    figures: dict[str, Any] = {}
    for name, filters in FILTERS.items():
        pipeline = Pipeline(bundle, filters)
        decoded = pipeline.decode(recording)
        for v, variant in enumerate(pipeline.variants):
            bins = valid_bins(recording, start, recording.n_bins, pipeline.warm_up[v])
            form = "raw" if variant.name == "raw" else f"{variant.name}, {name}"
            figures[form] = _figures(
                recording.kinematics[bins - pipeline.lookahead[v]],
                recording.kinematics[bins],
                decoded[bins, v],
                recording.bin_s,
            )
    return figures


def distortion(recording: Recording, start: int) -> float:
    """R2 of the true movement behind the paper's high_accuracy filter: what a decoder without any error would reach."""
    taps = filter_taps("high_accuracy", PAPER, recording.bin_s)
    lookahead, truth = filter_lookahead("high_accuracy", PAPER), recording.kinematics
    filtered = np.stack([np.convolve(column, taps[::-1])[: len(truth)] for column in truth.T], 1)
    return mean_r2(truth[start - lookahead : len(truth) - lookahead], filtered[start:])


def _figures(
    aligned: npt.NDArray[np.float64],
    causal: npt.NDArray[np.float64],
    estimate: npt.NDArray[np.float32],
    bin_s: float,
) -> dict[str, Any]:
    return {
        "r2": mean_r2(aligned, estimate),
        "r2_causal": mean_r2(causal, estimate),
        "error_per_band": error_per_band(aligned, estimate, bin_s),
    }


def error_per_band(truth: npt.NDArray[np.float64], estimate: npt.NDArray[np.floating], bin_s: float) -> list[float]:
    """Squared error in each band of `BANDS_HZ`, in units of the truth's variance: they sum to 1 - R2 (Parseval)."""
    n = len(truth)
    power = np.abs(np.fft.rfft(truth - estimate, axis=0)) ** 2 / n
    power[1 : (n + 1) // 2] *= 2
    relative = (power / ((truth - truth.mean(0)) ** 2).sum(0)).mean(1)
    edges = np.searchsorted(np.fft.rfftfreq(n, bin_s), BANDS_HZ)
    return [float(part.sum()) for part in np.split(relative, edges)]


def runs(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One entry per subject and decoder."""
    split = SplitSettings()
    for seed in options.seeds:
        recording = simulate(SubjectSettings(subject_seed=seed, seed=seed), options.seconds)
        start = split.bounds(recording.n_bins)[1]
        say(f"subject, session and training seed {seed}: {recording.duration_s:g} s, {recording.n_channels} channels")
        done, failures = compare(recording, ENTRANTS, [seed], options.work, split=split)
        for failure in failures:
            raise SystemExit(f"{failure.entrant.name}: {failure.reason}")
        for run in done:
            bundle = read_bundle(run.path)
            yield {
                "seed": seed,
                "decoder": run.entrant.name,
                "best_epoch": bundle.manifest.training.best_epoch,
                "epochs": bundle.manifest.training.epochs,
                "training_s": bundle.manifest.training.seconds,
                "truth_behind_filter_r2": distortion(recording, start),
                "chosen": bundle.manifest.output_filters.model_dump(mode="json"),
                "operations": run.figures["operations"],
                "filter_macs": run.figures["filter_macs"],
                "forms": judged(bundle, recording, start),
            }


def table(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds, and the gain over raw of each form, per cent of raw R2."""
    rows: dict[str, Any] = {}
    for name in dict.fromkeys(entry["decoder"] for entry in entries):
        own = [entry["forms"] for entry in entries if entry["decoder"] == name]
        rows[name] = {}
        for form in own[0]:
            r2 = np.array([forms[form]["r2"] for forms in own])
            gain = np.array([100 * (forms[form]["r2"] / forms["raw"]["r2"] - 1) for forms in own])
            rows[name][form] = {
                "r2": _mean_and_deviation(r2),
                "gain_percent": _mean_and_deviation(gain),
                "r2_causal": _mean_and_deviation(np.array([forms[form]["r2_causal"] for forms in own])),
                "error_per_band": np.mean([forms[form]["error_per_band"] for forms in own], 0).tolist(),
            }
    return rows


def _mean_and_deviation(values: npt.NDArray[np.float64]) -> tuple[float, float | None]:
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None


def text(rows: dict[str, Any]) -> str:
    """The table as Markdown, in R2 with the standard deviation, and gains in per cent of raw."""
    forms = list(next(iter(rows.values())))
    lines = ["| decoder | " + " | ".join(forms) + " |", "|---" * (len(forms) + 1) + "|"]
    for name, row in rows.items():
        cells = [f"{_cell(row[form]['r2'], 3)} ({_cell(row[form]['gain_percent'], 1, '+')} %)" for form in forms[1:]]
        lines.append(f"| {name} | {_cell(row['raw']['r2'], 3)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figure: tuple[float, float | None], digits: int, sign: str = "") -> str:
    mean, deviation = figure
    return f"{mean:{sign}.{digits}f}" + ("" if deviation is None else f" ± {deviation:.{digits}f}")


def main() -> None:
    """Train what is not trained yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="N")
    parser.add_argument("--seconds", type=float, default=600.0, metavar="S", help="length of each session")
    parser.add_argument("--work", type=Path, default=default_work(), metavar="DIR", help="where bundles are kept")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    entries = list(runs(options))
    rows = table(entries)
    print(text(rows))
    write_json(
        options.json,
        {"seconds": options.seconds, "bands_hz": BANDS_HZ, "table": rows, "runs": entries},
    )


if __name__ == "__main__":
    main()
