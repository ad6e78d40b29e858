"""Draws what ``benchmarks/filtering_claim.py --json result.json`` found.

``python benchmarks/filtering_claim_picture.py result.json docs/pictures/filtering-claim.png``
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FORMS = {
    "raw": ("raw", "#b9bec6"),
    "high_accuracy, paper": ("high_accuracy, the paper's filter", "#1d6fb8"),
    "high_accuracy, chosen": ("high_accuracy, chosen on validation data", "#0b3c66"),
}
BAND_COLOURS = ("#334155", "#64748b", "#d97706", "#fbbf24")


def draw_r2(axes: plt.Axes, result: dict[str, Any]) -> None:
    """R2 of each decoder and form: bars for the mean, a dot for each seed."""
    names = list(result["table"])
    for k, (form, (label, colour)) in enumerate(FORMS.items()):
        places = np.arange(len(names)) + (k - 1) * 0.27
        means = [result["table"][name][form]["r2"][0] for name in names]
        axes.bar(places, means, 0.25, color=colour, label=label)
        for place, name in zip(places, names, strict=True):
            seeds = [run["forms"][form]["r2"] for run in result["runs"] if run["decoder"] == name]
            axes.plot([place] * len(seeds), seeds, "o", ms=3.5, mfc="white", mec="#202020", mew=0.8)
    axes.set(ylabel="velocity R² of the test part", ylim=(0, 0.9))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=3, frameon=False, fontsize=8.5)
    _name_decoders(axes, names)


def draw_error(axes: plt.Axes, result: dict[str, Any]) -> None:
    """Where in frequency the error is: a stack per decoder and form whose height is 1 - R2."""
    names = list(result["table"])
    edges = [0.0, *result["bands_hz"]]
    labels = [f"{low:g} to {high:g} Hz" for low, high in pairwise(edges)]
    labels.append(f"above {edges[-1]:g} Hz")
    for k, form in enumerate(FORMS):
        places = np.arange(len(names)) + (k - 1) * 0.27
        bottom = np.zeros(len(names))
        shares = np.array([result["table"][name][form]["error_per_band"] for name in names])
        for share, label, colour in zip(shares.T, labels, BAND_COLOURS, strict=True):
            axes.bar(places, share, 0.25, bottom, color=colour, label=label if k == 0 else None)
            bottom += share
    axes.set(ylabel="error, in variances of the movement (1 - R²)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=4, frameon=False, fontsize=8.5, title_fontsize=8.5)
    _name_decoders(axes, names)


def _name_decoders(axes: plt.Axes, names: list[str]) -> None:
    axes.set_xticks(range(len(names)), [name.replace(", ", ",\n").replace(":", "\n") for name in names], fontsize=8)
    axes.grid(axis="y", color="#e5e7eb")
    axes.set_axisbelow(True)


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    result = json.loads(options.result.read_text())
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.4), layout="constrained")
    draw_r2(left, result)
    draw_error(right, result)
    seeds = len({run["seed"] for run in result["runs"]})
    figure.suptitle(
        f"Simulated subjects, 96 channels, 4 ms bins, {result['seconds']:g} s each: mean of {seeds}, one training each "
        "(dots). Bars of one decoder: raw, the paper's filter, the chosen one",
        fontsize=10,
    )
    figure.savefig(options.picture, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
