"""The page about several decoders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bmi_decoder.comparison.compare import Failure
from bmi_decoder.comparison.ranking import RANKED_BY, Figure, Standing
from bmi_decoder.evaluation.report.bit_budget_tables import budget_per_decoder
from bmi_decoder.evaluation.report.chart import Chart, legend
from bmi_decoder.evaluation.report.page import figures, page, paragraph, section, table
from bmi_decoder.evaluation.report.scale import padded
from bmi_decoder.evaluation.report.words import VARIANT_NAMES, count, milliseconds, score, size, spread
from bmi_decoder.recording import Recording

R2 = "R\N{SUPERSCRIPT TWO}"
_MARKS = {"raw": "circle", "low_latency": "square", "high_accuracy": "diamond"}
_N_COLOURS = 8
_SHOWN_RANGE = 0.6


def comparison_page(recording: Recording, standings: Sequence[Standing], failures: Sequence[Failure]) -> str:
    """The page of ``bmi-decoder compare --report``; standings are best first."""
    n_seeds = max(len(standing.runs) for standing in standings)
    subtitle = (
        f"{len(standings)} decoders with {n_seeds} seed{'s' if n_seeds > 1 else ''} each on {recording.source}: "
        f"{recording.duration_s:.0f} s in bins of {recording.bin_s * 1e3:g} ms, {recording.n_channels} channels"
    )
    return page(
        "Comparison of decoders",
        subtitle,
        [
            _ranking(standings),
            _failures(failures),
            _per_seed(standings),
            _pareto(standings),
            _filters(standings),
            _cost(standings),
            budget_per_decoder(standings),
        ],
    )


def _ranking(standings: Sequence[Standing]) -> str:
    variants = _variants(standings)
    rows = [
        [
            standing.entrant.name,
            standing.entrant.preset,
            *(_cell(standing.test.get(name)) for name in variants),
            _cell(standing.validation[standing.best_variant]),
            count(_mean(standing.operations)),
            size(_mean(standing.footprint_bytes)),
        ]
        for standing in standings
    ]
    names = [f"test {R2} {VARIANT_NAMES[name]}" for name in variants]
    return section(
        "Ranking",
        table(["decoder", "preset", *names, f"best validation {R2}", "operations per bin", "parameters"], rows, best=0),
        paragraph(
            f"Mean over seeds ± standard deviation; {R2} is the mean over the outputs, on the last part of the "
            "recording, each estimate held against the time that it describes. Ranked by "
            f"{RANKED_BY.replace('R2', R2)}: the order never looks at the test part.",
            "note",
        ),
    )


def _failures(failures: Sequence[Failure]) -> str:
    if not failures:
        return ""
    rows = [[failure.entrant.name, str(failure.seed), failure.reason] for failure in failures]
    return section("Runs that failed", table(["decoder", "seed", "reason"], rows))


def _variants(standings: Sequence[Standing]) -> list[str]:
    return [name for name in VARIANT_NAMES if any(name in standing.test for standing in standings)]


def _mean(figure: Figure | None) -> float | None:
    return None if figure is None else figure.mean


def _cell(figure: Figure | None) -> str:
    return "–" if figure is None else spread(figure.mean, figure.deviation)


def _per_seed(standings: Sequence[Standing]) -> str:
    """Every run as a mark: decoders below each other, R2 to the right."""
    values = [run.figures["test"][name]["r2"] for s in standings for run in s.runs for name in s.test]
    n = len(standings)
    chart = Chart(
        _shown(values, 0.08),
        (-n + 0.4, 0.6),
        f"test {R2} of every run",
        R2,
        width=1100,
        height=70 + 34 * n,
        rows=[standing.entrant.name for standing in standings],
    )
    for i, standing in enumerate(standings):
        chart.horizontal(-i)
        for v, name in enumerate(standing.test):
            shift = 0.22 * (1 - v)
            for run in standing.runs:
                value = run.figures["test"][name]["r2"]
                if value is not None and math.isfinite(value):
                    hover = f"{standing.entrant.name}, {VARIANT_NAMES[name]}, seed {run.seed}: {score(value)}"
                    chart.point(value, -i + shift, name, mark=_MARKS[name], hover=hover)
    keys = [(name, VARIANT_NAMES[name]) for name in _variants(standings)]
    return section("Seeds", legend(keys), figures([chart.svg()], "one"))


def _pareto(standings: Sequence[Standing]) -> str:
    counted = [standing for standing in standings if standing.operations is not None]
    if not counted:
        reason = standings[0].runs[0].figures["operations_missing"] or "operations could not be counted"
        return section("Accuracy against operations and memory", paragraph(reason, "bad"))

    def bytes_of(standing: Standing, name: str) -> float:
        return _mean(standing.footprint_bytes) or 0.0

    def operations_of(standing: Standing, name: str) -> float:
        return (_mean(standing.operations) or 0.0) + standing.filter_macs[name]

    charts = [
        _cloud(counted, operations_of, f"{R2} against operations", "MAC + AC per bin, filter included"),
        _cloud(counted, bytes_of, f"{R2} against memory", "bytes of parameters and buffers"),
    ]
    return section(
        "Accuracy against operations and memory",
        paragraph(
            "Circle: raw. Diamond: high accuracy. Bars: standard deviation over seeds. Dashed: what no other point "
            "beats in both respects. Operations are counted as NeuroBench does: a multiplication or addition with a "
            "zero weight or a zero input is none.",
            "note",
        ),
        figures(charts),
    )


def _cloud(standings: Sequence[Standing], cost: Callable[[Standing, str], float], title: str, x_label: str) -> str:
    shown = {s.entrant.name: [name for name in ("raw", "high_accuracy") if name in s.test] for s in standings}
    points = [
        (max(1.0, cost(s, name)), s.test[name].mean, s, i, name)
        for i, s in enumerate(standings)
        for name in shown[s.entrant.name]
        if math.isfinite(s.test[name].mean)
    ]
    if not points:
        return ""
    costs, scores = [p[0] for p in points], [p[1] for p in points]
    chart = Chart(
        (min(costs) / 1.8, max(costs) * 1.8),
        _shown(scores, 0.12),
        title,
        x_label,
        f"test {R2}",
        width=560,
        height=400,
        log_x=True,
    )
    edge = frontier([(p[0], p[1]) for p in points])
    chart.line([p[0] for p in edge], [p[1] for p in edge], "frontier")
    for s in standings:
        pair = [(max(1.0, cost(s, name)), s.test[name].mean) for name in shown[s.entrant.name]]
        chart.line([p[0] for p in pair], [p[1] for p in pair], f"c{standings.index(s) % _N_COLOURS}")
    for x, y, s, i, name in points:
        figure = s.test[name]
        last = name == shown[s.entrant.name][-1]
        hover = f"{s.entrant.name}, {VARIANT_NAMES[name]}: {spread(figure.mean, figure.deviation)} at {count(x)}"
        chart.point(
            x,
            y,
            f"c{i % _N_COLOURS}",
            s.entrant.name if last else "",
            spread=figure.deviation or 0.0,
            hover=hover,
            mark=_MARKS[name],
        )
    return chart.svg()


def _shown(scores: Sequence[float | None], room: float) -> tuple[float, float]:
    """The range of an axis of R2: from the best down to the worst, or to where nothing is worth a look."""
    finite = [value for value in scores if value is not None and math.isfinite(value)] or [0.0]
    return padded(max(min(finite), max(finite) - _SHOWN_RANGE), max(finite), room)


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, score) that no other beats in both, from the cheapest to the best, as a staircase.

    Examples
    --------
    >>> frontier([(1, 0.5), (2, 0.4), (3, 0.9)])
    [(1, 0.5), (3, 0.5), (3, 0.9)]
    """
    best = float("-inf")
    steps: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if value > best:
            if steps:
                steps.append((cost, best))
            steps.append((cost, value))
            best = value
    return steps


def _filters(standings: Sequence[Standing]) -> str:
    rows = []
    for standing in standings:
        raw = standing.test["raw"].mean
        for name in ("low_latency", "high_accuracy"):
            if name in standing.test:
                figure = standing.test[name]
                gain = f"{100 * (figure.mean - raw) / raw:+.1f} %".replace("-", "\N{MINUS SIGN}") if raw > 0 else "–"
                rows.append(
                    [
                        standing.entrant.name,
                        VARIANT_NAMES[name],
                        _cell(standing.test["raw"]),
                        _cell(figure),
                        gain,
                        _cell(standing.test_causal[name]),
                        milliseconds(standing.lookahead_s[name]),
                        count(standing.filter_macs[name]),
                    ]
                )
    if not rows:
        return ""
    head = ["decoder", "filter", f"raw {R2}", f"filtered {R2}", "gain", f"causal {R2}", "lookahead", "MAC added"]
    return section(
        "What the output filters bring",
        table(head, rows),
        paragraph(
            f"Causal {R2} holds the filtered estimate against the newest bin: the lookahead counts as error.", "note"
        ),
    )


def _cost(standings: Sequence[Standing]) -> str:
    rows = [
        [
            standing.entrant.name,
            count(_mean(standing.dense)),
            count(_mean(standing.macs)),
            count(_mean(standing.acs)),
            size(_mean(standing.footprint_bytes)),
            f"{standing.step_us.mean:.1f} µs",
            f"{standing.training_s.mean:.0f} s",
        ]
        for standing in standings
    ]
    per_bin = ["dense per bin", "MAC per bin", "AC per bin"]
    head = ["decoder", *per_bin, "footprint", "one bin, hot, measured here", "training"]
    return section(
        "Cost",
        table(head, rows),
        paragraph(
            "Step time is the median of bins one directly after the other with both filters, on this machine: a live "
            "session takes longer. Training time is that of the machine on which it was trained.",
            "note",
        ),
    )
