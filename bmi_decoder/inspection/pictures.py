"""Pictures of a recording as inline SVG."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.evaluation.report.chart import Chart
from bmi_decoder.evaluation.report.scale import padded
from bmi_decoder.inspection.summary import mean_rates_hz
from bmi_decoder.recording import Recording

WIDTH = 1100
_WINDOW_S = 10.0
_MOST_MARKS = 20_000
_SHADES = 4
_STRETCHES = 400


class Raster(Chart):
    """Spikes of many channels: a stroke per bin that holds any, darker for more."""

    def spikes(self, counts: npt.NDArray[np.integer], bin_s: float) -> None:
        """Draw counts (T, C) from time 0, channel 0 at the bottom."""
        height = self.y(0.0) - self.y(1.0)
        width = max(0.7, self.x(bin_s) - self.x(0.0))
        # A few crowded bins must not make all others pale.
        full = float(np.percentile(counts[counts > 0], 90)) if counts.any() else 1.0
        shade = np.minimum(_SHADES, np.ceil(_SHADES * counts / full)).astype(int)
        for level in range(1, _SHADES + 1):
            rows, channels = np.nonzero(shade == level)
            marks = "".join(
                f"M{self.x(row * bin_s):.1f} {self.y(channel + 0.5):.1f}h{width:.1f}"
                for row, channel in zip(rows, channels, strict=True)
            )
            if marks:
                self._parts.append(
                    f'<path d="{marks}" fill="none" stroke="var(--ink)" stroke-width="{0.8 * height:.2f}" '
                    f'stroke-opacity="{level / _SHADES:g}"/>'
                )


def window(recording: Recording) -> tuple[int, int]:
    """Bins to show: up to 10 s from the middle of the longest segment, fewer where there are very many spikes."""
    start, stop = max(recording.spans, key=lambda span: span[1] - span[0])
    length = min(stop - start, max(1, round(_WINDOW_S / recording.bin_s)))
    first = start + (stop - start - length) // 2
    while length > 20 and np.count_nonzero(recording.counts[first : first + length]) > _MOST_MARKS:
        length //= 2
    return first, first + length


def raster_chart(recording: Recording) -> str:
    """Spikes of every channel within the window."""
    first, last = window(recording)
    chart = Raster(
        (0.0, (last - first) * recording.bin_s),
        (0.0, float(recording.n_channels)),
        f"spikes of every channel, from {_clock(recording, first)}",
        "s",
        "channel",
        width=WIDTH,
        height=int(np.clip(64 + 3.2 * recording.n_channels, 150, 560)),
    )
    chart.spikes(recording.counts[first:last], recording.bin_s)
    return chart.svg("raster of spikes")


def movement_chart(recording: Recording) -> str:
    """Kinematics within the same window."""
    first, last = window(recording)
    shown = recording.kinematics[first:last]
    time = (np.arange(last - first) + 0.5) * recording.bin_s
    units = sorted({output.unit for output in recording.outputs})
    chart = Chart(
        (0.0, (last - first) * recording.bin_s),
        padded(float(shown.min()), float(shown.max()), 0.08),
        "movement in the same time",
        "s",
        units[0] if len(units) == 1 else "",
        width=WIDTH,
        height=240,
    )
    for column in range(shown.shape[1]):
        chart.line(time, shown[:, column], f"c{column % 8}")
    return chart.svg("kinematics")


def course_chart(recording: Recording) -> str:
    """Mean rate of all channels over the whole recording, with the borders of segments."""
    edges = np.unique(np.linspace(0, recording.n_bins, _STRETCHES + 1).astype(int))
    total = np.add.reduceat(recording.counts.sum(axis=1, dtype=np.float64), edges[:-1])
    rate = total / (np.diff(edges) * recording.bin_s * recording.n_channels)
    chart = Chart(
        (0.0, recording.duration_s),
        padded(0.0, float(rate.max()), 0.08),
        "mean rate of all channels" + (", dashed: a gap" if len(recording.spans) > 1 else ""),
        "recorded time, s",
        "Hz per channel",
        width=WIDTH,
        height=200,
    )
    chart.line((edges[:-1] + edges[1:]) / 2 * recording.bin_s, rate, "c0")
    for start, _ in recording.spans[1:200]:
        chart.vertical(start * recording.bin_s)
    return chart.svg("rate over time")


def rates_chart(recording: Recording) -> str:
    """Mean rate of every channel."""
    rates = mean_rates_hz(recording)
    chart = Chart(
        (-1.0, float(len(rates))),
        padded(0.0, float(rates.max()) or 1.0, 0.05),
        "mean rate of each channel",
        "channel",
        "Hz",
        width=WIDTH,
        height=200,
    )
    chart.stems(np.arange(len(rates)), rates, "c0")
    return chart.svg("rates of channels")


def _clock(recording: Recording, first: int) -> str:
    """Where the window is; with gaps only the recorded time is known."""
    if len(recording.spans) == 1:
        return f"{recording.t0 + first * recording.bin_s:.1f} s"
    return f"{first * recording.bin_s:.1f} s of recorded time"
