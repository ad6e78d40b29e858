"""A latency measurement as one HTML page: distribution, stages, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bmi_decoder.evaluation.report.chart import Chart, legend
from bmi_decoder.evaluation.report.page import figures, page, paragraph, section, table
from services.bench.latency.rounds import STAGES, Round
from services.percentiles import PERCENTILES

_STYLES = ("truth", "raw", "low_latency", "high_accuracy")


def latency_page(results: Sequence[Mapping[str, Any]], rounds: Sequence[Sequence[Round]], where: str) -> str:
    """The page.

    Parameters
    ----------
    results : sequence of mapping
        One per load, as ``bench latency --json`` has them.
    rounds : sequence of sequence of Round
        The turns behind each of them.
    where : str
        The machine, in a line.
    """
    return page(
        "Latency from LSL push to ZeroMQ reception", where, [_load(*pair) for pair in zip(results, rounds, strict=True)]
    )


def _load(result: Mapping[str, Any], rounds: Sequence[Round]) -> str:
    lanes: Mapping[str, Any] = result["lanes"]
    styles = dict(zip(lanes, _STYLES, strict=False))
    head = ["lane", *(f"{name}, us" for name in PERCENTILES), "p50 / floor", "p99 / floor", "CPU per bin", "resident"]
    rows = [[name, *_figures(lane)] for name, lane in lanes.items()]
    staged = {name: lane["stages_us"] for name, lane in lanes.items() if "stages_us" in lane}
    stages = [
        [name, *(f"{stage[each]['p50']:g} / {stage[each]['p99']:g}" for each in STAGES)]
        for name, stage in staged.items()
    ]
    return section(
        f"{result['n_channels']} channels at {result['rate_hz']:g} bins/s",
        legend([(style, name) for name, style in styles.items()]),
        figures([tail(rounds, styles)], "one"),
        table(head, rows),
        paragraph("Stages, p50 / p99 in us:") + table(["lane", *STAGES], stages) if stages else "",
    )


def _figures(lane: Mapping[str, Any]) -> list[str]:
    ratio = lane.get("ratio_to_floor")
    return [
        *(f"{lane['latency_us'][name]:g}" for name in PERCENTILES),
        *(("", "") if ratio is None else (f"{ratio['p50']:.2f}", f"{ratio['p99']:.2f}")),
        f"{lane['cpu_us_per_bin']:g} us",
        f"{lane['resident_mb']:g} MB",
    ]


def tail(rounds: Sequence[Round], styles: Mapping[str, str], deadline_us: float | None = None) -> str:
    """Share of samples that were later than x, with a logarithmic share: the tail is what hurts.

    Parameters
    ----------
    rounds : sequence of Round
    styles : mapping
        Names of lanes to the styles of their lines.
    deadline_us : float, optional
        Marked by a vertical line.
    """
    sorted_us = {
        name: np.sort(np.concatenate([one.latency_us for one in rounds if one.lane == name])) for name in styles
    }
    low = min(float(values[0]) for values in sorted_us.values())
    high = max(float(values[-1]) for values in sorted_us.values())
    high = max(high, deadline_us or 0.0)
    most = max(map(len, sorted_us.values()))
    decades = float(np.ceil(np.log10(most)))
    chart = Chart(
        (max(1.0, low * 0.9), high * 1.1),
        (-decades, 0.0),
        "how many samples were later than this",
        "us from push to reception",
        "log10 of their share",
        width=880,
        height=320,
        log_x=True,
    )
    for name, values in sorted_us.items():
        later = np.log10((len(values) - np.arange(len(values))) / len(values))
        chart.line(values, later, styles[name])
    if deadline_us is not None:
        chart.vertical(deadline_us, "deadline")
    return chart.svg()
