"""Pictures of what was decoded: over time, and as paths."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.evaluation.judgement import Judgement
from bmi_decoder.evaluation.report.chart import Chart
from bmi_decoder.evaluation.report.scale import padded
from bmi_decoder.evaluation.report.words import VARIANT_NAMES, milliseconds, score
from bmi_decoder.evaluation.variants import valid_bins

SHOWN_S = 20.0
STRETCH_S = 10.0
N_STRETCHES = 6


def aligned(judgement: Judgement, v: int, bins: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Estimates of a variant for the moments `bins`, wherever they were published; NaN where there is none."""
    decoded, lookahead = judgement.decoded[:, v], judgement.pipeline.lookahead[v]
    usable = np.zeros(len(decoded), bool)
    skip = max(lookahead, judgement.pipeline.warm_up[v])
    usable[valid_bins(judgement.recording, 0, len(decoded), skip)] = True
    source = np.minimum(bins + lookahead, len(decoded) - 1)
    found = usable[source] & (bins + lookahead < len(decoded))
    return np.where(found[:, None], decoded[source], np.nan)


def over_time(judgement: Judgement) -> list[str]:
    """One chart per variant and output: the truth, and the estimate at the time that it describes."""
    recording, pipeline = judgement.recording, judgement.pipeline
    bins = _shown_bins(judgement)
    seconds = recording.t0 + (bins + 0.5) * recording.bin_s
    moving = [k for k in range(recording.n_outputs) if np.ptp(recording.kinematics[bins, k]) > 0][:3]
    pictures = []
    for v, variant in enumerate(pipeline.variants):
        estimate = aligned(judgement, v, bins)
        figures = judgement.figures["variants"][variant.name]
        for k in moving:
            output, truth = pipeline.outputs[k], recording.kinematics[bins, k]
            chart = Chart(
                (float(seconds[0]), float(seconds[-1])),
                padded(float(truth.min()) * 1.25, float(truth.max()) * 1.25),
                f"{VARIANT_NAMES[variant.name]}: {output.name}, R\N{SUPERSCRIPT TWO} "
                f"{score(figures['r2_per_output'][output.name])}",
                "seconds",
                output.unit,
                width=620,
                height=210,
            )
            chart.line(seconds, truth, "truth")
            chart.line(seconds, estimate[:, k], variant.name)
            pictures.append(chart.svg())
    return pictures


def _shown_bins(judgement: Judgement) -> npt.NDArray[np.int64]:
    """A stretch from the middle of the judged part, inside its longest segment."""
    recording = judgement.recording
    spans = [(max(a, judgement.start), b) for a, b in recording.spans if b > judgement.start]
    first, last = max(spans, key=lambda span: span[1] - span[0])
    n = min(last - first, max(2, round(SHOWN_S / recording.bin_s)))
    begin = first + (last - first - n) // 2
    return np.arange(begin, begin + n)


def plane(judgement: Judgement) -> tuple[int, int] | None:
    """The two outputs that make a path: velocities of two axes in one unit, both moving."""
    recording, outputs = judgement.recording, judgement.pipeline.outputs
    moving = np.ptp(recording.kinematics[judgement.start :], axis=0) > 0
    pairs = [k for k, output in enumerate(outputs) if output.unit.endswith("/s") and moving[k]]
    same = [k for k in pairs if outputs[k].unit == outputs[pairs[0]].unit] if pairs else []
    return (same[0], same[1]) if len(same) >= 2 else None


def trajectories(judgement: Judgement) -> list[str]:
    """Paths of a few stretches: velocity summed up from the stretch's beginning, true and decoded."""
    recording = judgement.recording
    axes = plane(judgement)
    if axes is None:
        return []
    unit = judgement.pipeline.outputs[axes[0]].unit.removesuffix("/s")
    best = len(judgement.pipeline.variants) - 1
    paths = []
    for bins in _stretches(judgement):
        lines = [("truth", recording.kinematics[bins])]
        for v in sorted({0, best}):
            lines.append((judgement.pipeline.variants[v].name, aligned(judgement, v, bins)))
        summed = [(style, np.cumsum(y[:, axes] * recording.bin_s, axis=0)) for style, y in lines]
        if all(np.isfinite(path).all() for _, path in summed):
            paths.append((bins, summed))
    if not paths:
        return []
    # One scale for all, so that their sizes can be compared.
    spans = [np.ptp(np.concatenate([path for _, path in summed]), axis=0).max() for _, summed in paths]
    half = 0.55 * float(max(spans))
    pictures = []
    for bins, summed in paths:
        every = np.concatenate([path for _, path in summed])
        centre = (every.min(0) + every.max(0)) / 2
        x, y = ((float(c - half), float(c + half)) for c in centre)
        start = recording.t0 + bins[0] * recording.bin_s
        stop = recording.t0 + (bins[-1] + 1) * recording.bin_s
        chart = Chart(
            x, y, f"{start:.0f} to {stop:.0f} s", f"x ({unit})", f"y ({unit})", width=330, height=300, equal=True
        )
        for style, path in summed:
            chart.line(path[:, 0], path[:, 1], style)
        chart.point(0.0, 0.0, "c7")
        pictures.append(chart.svg())
    return pictures


def _stretches(judgement: Judgement) -> list[npt.NDArray[np.int64]]:
    recording, pipeline = judgement.recording, judgement.pipeline
    n = max(2, round(STRETCH_S / recording.bin_s))
    skip = max(*pipeline.warm_up, 0)
    ahead = max(pipeline.lookahead)
    starts: list[int] = []
    for a, b in recording.spans:
        starts += range(max(a + skip, judgement.start), b - ahead - n + 1, n)
    if not starts:
        return []
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(N_STRETCHES, len(starts))).round().astype(int))
    return [np.arange(starts[i], starts[i] + n) for i in chosen]


def lag_sentence(judgement: Judgement) -> str:
    """How late each variant shows movement."""
    parts = [
        f"{VARIANT_NAMES[name]} {milliseconds(figures['lag_s'])}"
        for name, figures in judgement.figures["variants"].items()
    ]
    return "Movement appears late by (peak of the cross-correlation, against the newest bin): " + ", ".join(parts) + "."
