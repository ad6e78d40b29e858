"""The page of ``bmi-decoder inspect --report``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bmi_decoder.evaluation.report.chart import legend
from bmi_decoder.evaluation.report.page import cards, figures, page, paragraph, section, table
from bmi_decoder.inspection.inspect import Inspection
from bmi_decoder.inspection.pictures import course_chart, movement_chart, raster_chart, rates_chart
from bmi_decoder.inspection.summary import summarise
from bmi_decoder.inspection.words import break_kind, reach_words, segment_words
from bmi_decoder.recording import Recording

_MOST_BREAKS = 40


def inspection_page(inspection: Inspection) -> str:
    """The whole document."""
    parts = [paragraph(remark, "bad") for remark in inspection.remarks]
    if inspection.recording is None:
        parts.append(paragraph(f"Nothing here can be decoded as it is: {inspection.problem}", "bad"))
    else:
        parts += _recording_sections(inspection, inspection.recording)
    parts.append(_contents(inspection))
    return page(inspection.path.name, f"{inspection.format_summary}: {inspection.path}", parts)


def _recording_sections(inspection: Inspection, recording: Recording) -> list[str]:
    found = summarise(recording)
    rates = found["mean_rate_hz"]
    key_figures = [
        (f"{found['duration_s']:.0f} s", "recorded time"),
        (f"{found['bin_s'] * 1e3:g} ms", "bin width"),
        (str(len(found["channels"])), "channels"),
        (str(len(found["silent"])), "silent channels"),
        (f"{rates['median']:.2g} Hz", "median rate"),
        (str(len(found["segments"])), "segments"),
    ]
    movement = [
        [output["name"], output["unit"]]
        + [f"{output[key]:.4g}" for key in ("lowest", "highest", "mean", "standard_deviation")]
        for output in found["outputs"]
    ]
    names = [(f"c{i % 8}", output.name) for i, output in enumerate(recording.outputs)]
    said = [paragraph(f"Segments: {segment_words(found)}.")]
    if inspection.reaches:
        said.append(paragraph(f"Reaches: {reach_words(inspection)}."))
    return [
        cards(key_figures),
        *(paragraph(warning, "bad") for warning in found["warnings"]),
        section(
            "Spikes and movement",
            figures([raster_chart(recording)], "one"),
            legend(names),
            _one(movement_chart, recording),
        ),
        section("Over time", *said, _one(course_chart, recording)),
        section(
            "Channels",
            paragraph(
                f"Mean rates from {rates['lowest']:.2g} to {rates['highest']:.3g} Hz; at most "
                f"{found['most_spikes_in_a_bin']} spikes in a bin."
            ),
            _one(rates_chart, recording),
        ),
        section("Movement", table(["output", "unit", "lowest", "highest", "mean", "standard deviation"], movement)),
    ]


def _one(draw: Callable[[Recording], str], recording: Recording) -> str:
    return figures([draw(recording)], "one")


def _contents(inspection: Inspection) -> str:
    streams = [item for item in inspection.contents if "type" in item]
    series = [item for item in inspection.contents if "shape" in item]
    parts: list[str] = []
    if streams:
        rows = [
            [
                item["name"],
                item["type"],
                str(item["channels"]),
                str(item["samples"]),
                _rate(item["nominal_rate_hz"]),
                _rate(item["measured_rate_hz"]),
                str(item["clock_resets"]),
                str(item["gaps"]),
            ]
            for item in streams
        ]
        head = ["stream", "type", "channels", "samples", "declared", "measured", "clock resets", "gaps"]
        parts.append(section("Streams", table(head, rows)))
        broken = [
            [item["name"], break_kind(one), str(one["sample"]), f"{one['missing_s']:.3f} s"]
            for item in streams
            for one in item["breaks"]
        ]
        if broken:
            parts.append(section("Interruptions", _cut(["stream", "what", "before sample", "time"], broken)))
    if series:
        rows = [[item["name"], " x ".join(map(str, item["shape"])), item.get("unit", "")] for item in series]
        parts.append(section("In the file", table(["name", "shape", "unit"], rows)))
    return "".join(parts)


def _cut(head: Sequence[str], rows: list[list[str]]) -> str:
    more = paragraph(f"and {len(rows) - _MOST_BREAKS} more", "note") if len(rows) > _MOST_BREAKS else ""
    return table(head, rows[:_MOST_BREAKS]) + more


def _rate(value: float | None) -> str:
    return "irregular" if value is None else f"{value:.4g} Hz"
