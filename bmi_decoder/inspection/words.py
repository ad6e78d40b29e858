"""An inspection as lines of text."""

from __future__ import annotations

from typing import Any

from bmi_decoder.formats.reaches import INACTIVE_BINS
from bmi_decoder.inspection.inspect import Inspection
from bmi_decoder.inspection.summary import summarise

_MOST_LINES = 6


def lines(inspection: Inspection) -> list[str]:
    """What a terminal shows."""
    said = [f"{inspection.path}: {inspection.format_summary}"]
    said += [f"  {text}" for item in inspection.contents for text in content_lines(item)]
    said += [f"  ! {remark}" for remark in inspection.remarks]
    if inspection.recording is None:
        return [*said, f"  ! nothing here can be decoded as it is: {inspection.problem}"]
    found = summarise(inspection.recording)
    rates = found["mean_rate_hz"]
    said += [
        f"  time        {found['duration_s']:.1f} s from {found['t0']:g} s, {found['bins']} bins of "
        f"{found['bin_s'] * 1e3:g} ms",
        f"  channels    {len(found['channels'])}, {len(found['silent'])} silent; rates {rates['lowest']:.2g} to "
        f"{rates['highest']:.3g} Hz, median {rates['median']:.2g} Hz; at most {found['most_spikes_in_a_bin']} in a bin",
        f"  segments    {segment_words(found)}",
    ]
    said += [f"  {_output_words(output)}" for output in found["outputs"]]
    if inspection.reaches:
        said.append(f"  reaches     {reach_words(inspection)}")
    return said + [f"  ! {warning}" for warning in found["warnings"]]


def content_lines(item: dict[str, Any]) -> list[str]:
    """A stream of an XDF file with its interruptions, or a part of an NWB file."""
    if "shape" in item:
        more = f" {item['unit']}" if "unit" in item else f", columns {', '.join(item['columns'])}"
        return [f"{item['name']} {tuple(item['shape'])}{more}"]
    rate = "irregular"
    if item["nominal_rate_hz"]:
        rate = f"{item['nominal_rate_hz']:g} Hz"
        if abs(item["measured_rate_hz"] / item["nominal_rate_hz"] - 1) > 0.01:
            rate += f" declared, {item['measured_rate_hz']:.3g} Hz measured"
    said = [
        f"stream {item['name']!r} (type {item['type']!r}): {item['channels']} x {item['format']}, {item['samples']} "
        f"samples, {rate}; clock resets: {item['clock_resets']}, gaps: {item['gaps']}"
    ]
    worst = sorted(item["breaks"], key=lambda one: (not one["clock_reset"], -abs(one["missing_s"])))
    said += [
        f"  {break_kind(one)} before sample {one['sample']}: {one['missing_s']:.3f} s" for one in worst[:_MOST_LINES]
    ]
    if len(worst) > _MOST_LINES:
        said.append(f"  and {len(worst) - _MOST_LINES} shorter ones")
    return said


def break_kind(one: dict[str, Any]) -> str:
    """What interrupts a stream."""
    return "clock reset" if one["clock_reset"] else "gap" if one["missing_s"] > 0 else "jump back"


def segment_words(found: dict[str, Any]) -> str:
    """How contiguous a recording is."""
    spans = found["segments"]
    if len(spans) == 1:
        return "one: no time is missing"
    lengths = [(stop - start) * found["bin_s"] for start, stop in spans]
    return f"{len(spans)} of {min(lengths):.2f} to {max(lengths):.1f} s, with time missing between them"


def reach_words(inspection: Inspection) -> str:
    """How many reaches there are, and how many last so long that the subject does something else."""
    long = sum(stop - start >= INACTIVE_BINS for start, stop in inspection.reaches)
    return f"{len(inspection.reaches)}, {long} of them of 8 s or more"


def _output_words(output: dict[str, Any]) -> str:
    return (
        f"{output['name']:11} {output['lowest']:.4g} to {output['highest']:.4g} {output['unit']}, mean "
        f"{output['mean']:.3g}, standard deviation {output['standard_deviation']:.3g}"
    )
