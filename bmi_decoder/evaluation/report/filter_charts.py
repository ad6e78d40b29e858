"""Pictures of output filters: impulse response, gain, lag."""

from __future__ import annotations

import numpy as np

from bmi_decoder.evaluation.report.chart import Chart
from bmi_decoder.evaluation.report.page import table
from bmi_decoder.evaluation.report.scale import padded
from bmi_decoder.evaluation.report.words import VARIANT_NAMES, milliseconds
from bmi_decoder.pipeline import Pipeline
from filters import taps_response

_SHOWN_HZ = (0.5, 1.0, 2.0, 4.0, 8.0)
_LEAST_GAIN_FOR_LAG = 0.1
"""Below this gain a lag is of no interest, and its phase jumps."""


def filter_pictures(pipeline: Pipeline) -> list[str]:
    """Impulse response, gain and lag of every output filter, in three charts."""
    filters = list(zip((variant.name for variant in pipeline.variants[1:]), pipeline.output_taps, strict=True))
    if not filters:
        return []
    bin_ms, rate = pipeline.bin_s * 1e3, 1 / pipeline.bin_s
    longest = max(len(taps) for _, taps in filters)
    every = np.concatenate([taps for _, taps in filters])
    response = Chart(
        (-0.5 * bin_ms, (longest - 0.5) * bin_ms),
        padded(min(0.0, float(every.min())), float(every.max())),
        "impulse response",
        "ms behind the newest bin",
        "weight",
        width=360,
    )
    top = rate / 2
    frequencies = np.geomspace(min(0.1, top / 50), top, 400)
    gain = Chart((float(frequencies[0]), top), (0.0, 1.1), "gain", "Hz", "gain", width=360, log_x=True)
    curves = []
    for i, (name, taps) in enumerate(filters):
        age = np.arange(len(taps))[::-1] * bin_ms
        response.stems(age, taps, name, shift=2.0 * i - len(filters) + 1)
        answer = taps_response(taps, frequencies, rate)
        gain.line(frequencies, np.abs(answer), name)
        curves.append((name, _phase_delay_ms(answer, frequencies)))
    highest = max(float(np.nanmax(curve)) for _, curve in curves)
    lowest = min(float(np.nanmin(curve)) for _, curve in curves)
    lag = Chart(
        (float(frequencies[0]), top),
        padded(min(0.0, lowest), max(highest, bin_ms)),
        "lag, where gain is above 0.1",
        "Hz",
        "ms",
        width=360,
        log_x=True,
    )
    for name, curve in curves:
        lag.line(frequencies, curve, name)
    return [response.svg(), gain.svg(), lag.svg()]


def filter_table(pipeline: Pipeline) -> str:
    """Lookahead, delay, and gain at a few frequencies."""
    rate = 1 / pipeline.bin_s
    shown = [hz for hz in _SHOWN_HZ if hz < rate / 2]
    rows = []
    for v, taps in enumerate(pipeline.output_taps, start=1):
        gains = np.abs(taps_response(taps, shown, rate))
        age = np.arange(len(taps))[::-1]
        rows.append(
            [
                VARIANT_NAMES[pipeline.variants[v].name],
                f"{len(taps)} bins",
                milliseconds(pipeline.lookahead[v] * pipeline.bin_s),
                milliseconds(float(age @ taps / taps.sum()) * pipeline.bin_s),
                f"{np.linalg.norm(taps):.2f}",
                *(f"{value:.2f}" for value in gains),
            ]
        )
    head = ["filter", "block", "lookahead", "delay of slow movement", "gain for white noise"]
    return table([*head, *(f"gain at {hz:g} Hz" for hz in shown)], rows)


def _phase_delay_ms(answer: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    phase = np.unwrap(np.angle(answer))
    delay = -phase / (2 * np.pi * frequencies) * 1e3
    faint = np.abs(answer) < _LEAST_GAIN_FOR_LAG
    first = int(np.argmax(faint)) if faint.any() else len(delay)
    return np.where(np.arange(len(delay)) < first, delay, np.nan)
