"""The page about one decoder."""

from __future__ import annotations

from bmi_decoder.evaluation.judgement import Judgement
from bmi_decoder.evaluation.report.bit_budget_tables import budget_per_layer
from bmi_decoder.evaluation.report.chart import Chart, legend
from bmi_decoder.evaluation.report.filter_charts import filter_pictures, filter_table
from bmi_decoder.evaluation.report.movement_charts import lag_sentence, over_time, trajectories
from bmi_decoder.evaluation.report.page import cards, figures, page, paragraph, section, table
from bmi_decoder.evaluation.report.scale import padded
from bmi_decoder.evaluation.report.words import VARIANT_NAMES, count, milliseconds, score, size

R2 = "R\N{SUPERSCRIPT TWO}"


def evaluation_page(judgement: Judgement, name: str) -> str:
    """The page of ``bmi-decoder evaluate --report``; `name` is what the bundle is called."""
    manifest, recording = judgement.bundle.manifest, judgement.recording
    part = "the part kept for testing" if judgement.seen else "the whole recording"
    subtitle = (
        f"{manifest.decoder}, preset {manifest.training.preset}, seed {manifest.training.seed}, on "
        f"{recording.source or 'a recording'}: {part}, {(recording.n_bins - judgement.start) * recording.bin_s:.0f} s "
        f"in bins of {recording.bin_s * 1e3:g} ms, {recording.n_channels} channels"
    )
    styles = [("truth", "true"), *((v.name, VARIANT_NAMES[v.name]) for v in judgement.pipeline.variants)]
    return page(
        f"Decoder {name}",
        subtitle,
        [
            cards(_key_figures(judgement)),
            _accuracy(judgement),
            section(
                "Decoded against true movement",
                paragraph(
                    "Each estimate stands at the time that it describes, so a filter's lookahead does not shift it.",
                    "note",
                ),
                legend(styles),
                figures(over_time(judgement)),
            ),
            _paths(judgement, styles),
            _filters(judgement),
            _cost(judgement),
            _bit_budget(judgement),
            _latency(judgement),
        ],
    )


def _key_figures(judgement: Judgement) -> list[tuple[str, str]]:
    variants, counted = judgement.figures["variants"], judgement.figures["operations"]
    entries = [(score(values["r2"]), f"{R2} {VARIANT_NAMES[name]}") for name, values in variants.items()]
    if counted is not None:
        entries.append((count(counted["macs"] + counted["acs"]), "operations per bin"))
        entries.append((size(counted["footprint_bytes"]), "parameters"))
    entries.append((f"{judgement.figures['speed']['step_us']['p50']:.1f} µs", "per bin, hot"))
    return entries


def _accuracy(judgement: Judgement) -> str:
    outputs = judgement.pipeline.outputs
    rows = []
    for name, values in judgement.figures["variants"].items():
        per_output = [score(values["r2_per_output"][output.name]) for output in outputs]
        rmse = [_rmse(values["rmse_per_output"][output.name]) for output in outputs]
        rows.append(
            [
                VARIANT_NAMES[name],
                score(values["r2"]),
                *per_output,
                score(values["r2_causal"]),
                score(values["correlation"]),
                *rmse,
                milliseconds(values["lookahead_s"]),
                milliseconds(values["lag_s"]),
            ]
        )
    head = [
        "variant",
        R2,
        *(f"{R2} {output.name}" for output in outputs),
        f"{R2} causal",
        "correlation",
        *(f"RMSE {output.name}" for output in outputs),
        "lookahead",
        "lag",
    ]
    return section(
        "Accuracy",
        table(head, rows),
        paragraph(
            f"{R2} holds each estimate against the time that it describes; causal {R2} against the newest bin, where a "
            "filter's lookahead counts as error. " + lag_sentence(judgement),
            "note",
        ),
    )


def _rmse(entry: dict[str, float | str | None]) -> str:
    value = entry["value"]
    return "–" if value is None else f"{value:.3g} {entry['unit']}"


def _paths(judgement: Judgement, styles: list[tuple[str, str]]) -> str:
    pictures = trajectories(judgement)
    if not pictures:
        return ""
    shown = [styles[0], styles[1], *([styles[-1]] if len(styles) > 2 else [])]
    return section(
        "Paths",
        paragraph("Velocity summed up over stretches of 10 s; every stretch begins at the dot.", "note"),
        legend(shown),
        figures(pictures, "three"),
    )


def _filters(judgement: Judgement) -> str:
    pictures = filter_pictures(judgement.pipeline)
    if not pictures:
        return ""
    styles = [(variant.name, VARIANT_NAMES[variant.name]) for variant in judgement.pipeline.variants[1:]]
    return section("Output filters", legend(styles), figures(pictures, "three"), filter_table(judgement.pipeline))


def _cost(judgement: Judgement) -> str:
    counted = judgement.figures["operations"]
    held = judgement.figures["memory"]
    if counted is None:
        return section("Operations and memory", paragraph(judgement.figures["operations_missing"], "bad"))
    rows = [
        ["dense operations per bin", count(counted["dense"])],
        ["multiply-accumulates (MAC) per bin", count(counted["macs"])],
        ["accumulates (AC) per bin", count(counted["acs"])],
        ["activation sparsity", score(counted["activation_sparsity"])],
        ["connection sparsity", score(counted["connection_sparsity"])],
        ["footprint: parameters and buffers", size(counted["footprint_bytes"])],
        ["state carried from bin to bin", size(4 * counted["state_floats"])],
    ]
    if counted["inner_steps"] is not None:
        rows.append(["inner steps per bin: mean", f"{counted['inner_steps']['mean']:.1f}"])
        rows.append(["inner steps per bin: most", count(counted["inner_steps"]["max"])])
    if held["parameter_bytes"] is not None:
        rows.append(["live pipeline with filters: weights", size(held["parameter_bytes"])])
        rows.append(["live pipeline with filters: working memory", size(held["arena_bytes"])])
    return section(
        "Operations and memory",
        figures([_accuracy_and_operations(judgement), table(["as NeuroBench counts", ""], rows)]),
        paragraph(
            f"Measured over {counted['bins']} bins. An operation counts where weight and input both differ from zero; "
            "it is an accumulate where the inputs are spikes. A filter adds one MAC per tap and output.",
            "note",
        ),
    )


def _bit_budget(judgement: Judgement) -> str:
    budget = judgement.figures["bit_budget"]
    return "" if budget is None else budget_per_layer(budget)


def _accuracy_and_operations(judgement: Judgement) -> str:
    counted, variants = judgement.figures["operations"], judgement.figures["variants"]
    own = counted["macs"] + counted["acs"]
    points = {name: own + judgement.figures["filter_macs"][name] for name in variants}
    scores = [values["r2"] for values in variants.values()]
    low, high = padded(min(scores), max(scores), 0.3)
    chart = Chart(
        (max(1.0, min(points.values()) / 3), max(points.values()) * 3),
        (low, high),
        f"{R2} against operations per bin",
        "MAC + AC per bin",
        R2,
        width=520,
        height=300,
        log_x=True,
    )
    for name, operations in points.items():
        chart.point(operations, variants[name]["r2"], name, VARIANT_NAMES[name])
    return chart.svg()


def _latency(judgement: Judgement) -> str:
    speed = judgement.figures["speed"]
    took = speed["step_us"]
    budget = judgement.recording.bin_s * 1e6
    rows = [
        [
            "one bin through decoder and filters",
            f"{took['p50']:.1f} µs",
            f"{took['p99']:.1f} µs",
            f"{took['max']:.0f} µs",
        ],
        ["share of a bin", *(f"{100 * took[key] / budget:.2g} %" for key in ("p50", "p99", "max"))],
    ]
    return section(
        "Computing time",
        table(["hot, measured here", "median", "99 %", "longest"], rows),
        paragraph(
            f"{speed['steps']} bins one directly after the other on {speed['processor']}, while this report was made "
            f"({speed['executor']}). Caches are warm, nothing else runs in between and nothing is transported: a live "
            "session takes longer, and shows its own latency. Lookahead is a delay by design and is not part of this.",
            "note",
        ),
    )
