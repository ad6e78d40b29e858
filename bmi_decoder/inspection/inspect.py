"""From a file to all that can be said about it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bmi_decoder.errors import InputError
from bmi_decoder.formats import XdfStream, format_of, load_xdf, read_reaches, read_recording
from bmi_decoder.formats.reader_process import in_reader_process
from bmi_decoder.inspection.summary import summarise
from bmi_decoder.recording import Recording


@dataclass(frozen=True)
class Inspection:
    """What a file holds.

    Attributes
    ----------
    path : Path
    format : str
        Name of the format.
    format_summary : str
        What that is.
    recording : Recording or None
        What can be decoded; None where a file is sound but holds nothing that can be.
    problem : str
        Why there is no recording, empty where there is one.
    contents : tuple of dict
        What the file holds beside or before the recording: the streams of an XDF file, the series of an NWB file.
    remarks : tuple of str
        What is odd about the file.
    reaches : tuple of (start, stop)
        Of an O'Doherty session, in its own bins of 4 ms.
    """

    path: Path
    format: str
    format_summary: str
    recording: Recording | None
    problem: str = ""
    contents: tuple[dict[str, Any], ...] = ()
    remarks: tuple[str, ...] = ()
    reaches: tuple[tuple[int, int], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything but the counts and the movement themselves."""
        return {
            "path": str(self.path),
            "format": self.format,
            "problem": self.problem or None,
            "contents": list(self.contents),
            "remarks": list(self.remarks),
            "reaches": len(self.reaches) or None,
            "recording": None if self.recording is None else summarise(self.recording),
        }


@in_reader_process
def inspect_file(path: Path | str, bin_s: float | None = None, **choices: Any) -> Inspection:
    """Look into a recording file.

    Parameters
    ----------
    path : Path or str
        A file of any known format.
    bin_s : float, optional
        Bin width as for `read_recording`.
    **choices
        As for `read_recording`.

    Raises
    ------
    InputError
        If the file is missing, damaged or of no known format. XDF and NWB files that are sound but have no
        recording in them, or several, raise nothing: `problem` says what is missing and `contents` what is there.
    BmiError
        If a package is missing that the format needs.
    """
    path = Path(path)
    known = format_of(path)
    contents: tuple[dict[str, Any], ...] = ()
    remarks: tuple[str, ...] = ()
    if known.name == "xdf":
        file = load_xdf(path)
        contents, remarks = tuple(map(describe_stream, file.streams)), file.remarks
    elif known.name == "nwb":
        contents = _describe_nwb(path)
    recording, problem = None, ""
    try:
        recording = read_recording(path, bin_s, **choices)
    except InputError as error:
        if not contents:
            raise
        problem = str(error)
    reaches: tuple[tuple[int, int], ...] = ()
    if known.name == "odoherty":
        try:
            reaches = read_reaches(path)
        except InputError as error:
            remarks = (*remarks, str(error))
    return Inspection(path, known.name, known.summary, recording, problem, contents, remarks, reaches)


def inspection_as_json(path: Path | str) -> dict[str, Any]:
    """Look into a recording file as `inspect_file` does; what `Inspection.as_json` gives."""
    return inspect_file(path).as_json()


def describe_stream(stream: XdfStream) -> dict[str, Any]:
    """One stream of an XDF file, for JSON: rates, and where its time is interrupted."""
    step_s = stream.step_s
    spans, resets = stream.spans, set(stream.resets)
    breaks = []
    for (_, stop), (start, _) in pairwise(spans):
        missing = float(stream.times[start] - stream.times[stop - 1]) - (step_s or 0.0)
        breaks.append({"sample": start, "missing_s": missing, "clock_reset": start in resets})
    finite = stream.times[np.isfinite(stream.times)]
    return {
        "name": stream.name,
        "type": stream.type,
        "channels": stream.n_channels,
        "format": stream.format,
        "samples": len(stream.times),
        "nominal_rate_hz": stream.rate_hz or None,
        "measured_rate_hz": 1.0 / step_s if step_s else None,
        "first_s": float(finite[0]) if len(finite) else None,
        "last_s": float(finite[-1]) if len(finite) else None,
        "clock_resets": len(resets),
        "gaps": sum(not item["clock_reset"] for item in breaks),
        "breaks": breaks,
    }


def _describe_nwb(path: Path) -> tuple[dict[str, Any], ...]:
    from bmi_decoder.formats.nwb import open_nwb
    from bmi_decoder.formats.nwb_series import behaviour_series

    with open_nwb(path) as content:
        units = [] if content.units is None else list(content.units.colnames)
        n_units = 0 if content.units is None else len(content.units.id)
        found = [
            {"name": series.name, "shape": list(series.shape), "unit": str(series.node.unit)}
            for series in behaviour_series(content)
        ]
    return ({"name": "units", "shape": [n_units], "columns": units}, *found)
