"""A soak in one picture: latency, memory and losses over time, and what was done to the system."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt

from benchmarks.soak_account import Account, Fault

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_INK, _SOFT, _BAD = "#1d6fb8", "#94a3b8", "#dc2626"
_STEPS = 300


def draw(path: Path, found: Account, faults: Sequence[Fault], memory: npt.NDArray[np.float64]) -> None:
    """Write the picture.

    Parameters
    ----------
    path : Path
    found : Account
    faults : sequence of Fault
    memory : array (k, 2)
        Moment, and resident memory of the worker in MB.
    """
    began = found.pushed[0, 1]
    minutes = (found.pushed[:, 1] - began) / 60
    edges = np.linspace(0, minutes[-1], _STEPS + 1)
    place = np.clip(np.searchsorted(edges, minutes, side="right") - 1, 0, _STEPS - 1)
    middle = (edges[1:] + edges[:-1]) / 2
    figure, axes = plt.subplots(3, 1, figsize=(11, 7.5), sharex=True, height_ratios=(3, 2, 2), layout="constrained")
    quantiles = np.array([_quantiles(1e3 * found.latency_s[place == k]) for k in range(_STEPS)])
    axes[0].plot(middle, quantiles[:, 0], color=_INK, lw=1.4, label="p50")
    axes[0].plot(middle, quantiles[:, 1], color=_SOFT, lw=1, label="p99")
    axes[0].set(ylabel="push to reception, ms", yscale="log")
    axes[0].legend(frameon=False, loc="upper right", ncols=2)
    axes[1].plot((memory[:, 0] - began) / 60, memory[:, 1], ".", ms=2, color=_INK)
    axes[1].set(ylabel="worker's memory, MB", ylim=(0, 1.2 * memory[:, 1].max()))
    for chosen, colour, name in (
        (found.missing & found.explained, _SOFT, "explained"),
        (found.unexplained, _BAD, "unexplained"),
    ):
        counts = np.bincount(place[chosen], minlength=_STEPS)
        axes[2].bar(middle, counts, edges[1], color=colour, label=f"{name}: {chosen.sum()}")
    axes[2].set(ylabel="samples lost", xlabel="minutes")
    axes[2].legend(frameon=False, loc="upper right", ncols=2)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        for fault in faults:
            axis.axvline((fault.began - began) / 60, color=_SOFT, lw=0.6, ls=":")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _quantiles(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    return (float(np.median(values)), float(np.percentile(values, 99))) if len(values) else (np.nan, np.nan)
