"""A recorded session as an NWB file."""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.formats.alignment import at_bins, bins_of, outputs_of
from bmi_decoder.formats.extra import require_formats_extra
from bmi_decoder.formats.nwb_counts import MODULE, SERIES
from bmi_decoder.formats.xdf import KINEMATICS_TYPES
from bmi_decoder.formats.xdf_streams import XdfStream
from bmi_decoder.recorded_session import DecodedStream, RecordedSession, read_session
from bmi_decoder.recording import Output
from bmi_decoder.wire import Flag, Variant

FloatArray = npt.NDArray[np.float64]
Stamps = TypeVar("Stamps", float, FloatArray)


@dataclass(frozen=True)
class SubjectInfo:
    """Who was recorded; archives ask for it, and a stream of counts does not tell.

    Attributes
    ----------
    id : str or None
        None takes the participant in the file's name, or the session's name.
    species : str or None
        In Latin, such as ``Macaca mulatta``.
    sex : str
        M, F, O (other) or U (unknown).
    age : str or None
        ISO 8601 duration, such as ``P6Y``.
    """

    id: str | None = None
    species: str | None = None
    sex: str = "U"
    age: str | None = None


def export_nwb(recording: Path, out: Path, subject: SubjectInfo | None = None) -> None:
    """Write a recorded session as NWB.

    Counts and true movement stand on the bins of the input stream, as `read_xdf` gives them, so that `read_nwb`
    gives the same recording; decoded outputs have the times that they describe.

    Parameters
    ----------
    recording : Path
        What ``bmi-decoder record`` wrote, of a session.
    out : Path
        Replaced if it exists.
    subject : SubjectInfo, optional

    Raises
    ------
    InputError
        If it is no such recording.
    BmiError
        If a package is missing, or `out` cannot be written.
    """
    require_formats_extra("pynwb", recording)
    session = read_session(recording)
    content = _content(session)
    from pynwb import NWBHDF5IO
    from pynwb.file import Subject

    about = subject or SubjectInfo()
    content.subject = Subject(
        subject_id=about.id or participant_in(recording.name) or session.name,
        species=about.species,
        sex=about.sex,
        age=about.age,
    )

    temporary = out.with_name(f".{os.getpid()}.{out.stem}.nwb")
    try:
        with NWBHDF5IO(temporary, "w") as file:
            file.write(content)
        os.replace(temporary, out)
    except OSError as error:
        raise BmiError(f"cannot write {out}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def participant_in(file_name: str) -> str | None:
    """Who was recorded, where the name of the recording says it as BIDS does.

    Examples
    --------
    >>> participant_in("sub-P01_ses-01_task-reach_run-001_neural.xdf")
    'P01'
    """
    found = re.match("sub-([A-Za-z0-9]+)_", file_name)
    return found[1] if found and found[1] != "unknown" else None


def _content(session: RecordedSession) -> Any:
    from pynwb import NWBFile

    neural, about = session.neural, session.estimates
    bin_s, stamps = bins_of(neural, session.path)
    begins = stamps - bin_s
    decoded_times = [one.stream.times.min() for one in session.decoded if len(one.stream.times)]
    zero = float(min(begins[0], about["t_source"].min() - bin_s, *decoded_times, *(at for at, _ in session.log)))
    clock = _Clock(zero, neural.speed)
    pace = (
        "" if neural.speed == 1 else f" The rig played at {neural.speed:g} times the pace; times are of the data's own."
    )
    content = NWBFile(
        session_description=f"session {session.name}, decoded live by bmi-decoder",
        identifier=hashlib.sha256(session.path.read_bytes()).hexdigest(),
        session_start_time=_wall_clock(session, zero),
        experiment_description=f"Exported from {session.path.name}, a recording of LSL streams.{pace}",
        keywords=["brain-machine interface", "spike counts", "decoding"],
    )
    ecephys = content.create_processing_module(MODULE, "Spike counts per bin, the input of the decoder.")
    times = _times(clock.seconds(begins), neural.spans, bin_s * neural.speed)
    counts = np.asarray(neural.values)
    whole = np.isfinite(counts).all() and (counts == np.floor(counts)).all() and (counts >= 0).all()
    ecephys.add(
        _series(
            SERIES,
            counts.astype(np.uint16) if whole and counts.max() < 1 << 16 else counts,
            "count",
            f"Spikes per bin of {bin_s * neural.speed:g} s and channel; times are where a bin begins.",
            {"bin_s": bin_s * neural.speed, "channels": list(neural.labels)},
            times,
        )
    )
    behavior = content.create_processing_module("behavior", "True movement where it was recorded, and decoded outputs.")
    for movement in session.streams:
        if movement.type.casefold() in KINEMATICS_TYPES:
            _add_movement(behavior, movement, at_bins(movement, stamps, bin_s, session.path), times)
    for decoded in session.decoded:
        _add_decoded(behavior, session, decoded, clock)
    decoder = content.create_processing_module("misc", "How each estimate came about.")
    rows = _increasing(about["t_source"])
    names = ("sequence", "bin_index", "flags", "revision")
    decoder.add(
        _series(
            "estimates",
            np.stack([about[name][rows] for name in names], axis=1).astype(np.int64),
            "n.a.",
            f"Columns: {', '.join(names)} of each estimate; times are the ends of the bins that triggered them.",
            {"columns": names},
            {"timestamps": clock.seconds(about["t_source"][rows])},
        )
    )
    _add_settings(content, session, bin_s, clock)
    _add_events(content, session, clock)
    return content


@dataclass(frozen=True)
class _Clock:
    """Times of the file: from its beginning, and at the pace of the data.

    A replay at ten times the pace stamps bins of 4 ms every 0.4 ms. Nobody could train on a file whose bins are longer
    than the time between them, and the movement's units are those of the data too.
    """

    zero: float
    speed: float

    def seconds(self, stamps: Stamps) -> Stamps:
        """Seconds in the file of stamps of the LSL clock."""
        return (stamps - self.zero) * self.speed


def _wall_clock(session: RecordedSession, at: float) -> datetime:
    """The calendar time of a moment of the LSL clock."""
    for stamp, event in session.log:
        if event.get("event") == "start":
            return datetime.fromisoformat(event["utc"]) + timedelta(seconds=at - stamp)
    raise InputError(f"{session.path}: the recording does not say when it began")


def _times(begins: FloatArray, spans: Sequence[tuple[int, int]], bin_s: float) -> dict[str, Any]:
    """A rate where there is no gap, as NWB prefers it, and otherwise a timestamp per bin."""
    if len(spans) == 1:
        return {"rate": 1 / bin_s, "starting_time": float(begins[0])}
    return {"timestamps": begins}


def _series(name: str, data: Any, unit: str, description: str, noted: dict[str, Any], times: dict[str, Any]) -> Any:
    from pynwb import TimeSeries

    with warnings.catch_warnings():
        # Of fewer bins than channels pynwb thinks that the axes were exchanged.
        warnings.simplefilter("ignore", UserWarning)
        return TimeSeries(name=name, data=data, unit=unit, description=description, comments=json.dumps(noted), **times)


def _add_movement(module: Any, movement: XdfStream, values: FloatArray, times: dict[str, Any]) -> None:
    """One series per quantity: a series of NWB has one unit."""
    outputs = outputs_of(movement)
    for quantity, columns in _quantities(outputs).items():
        name = quantity if quantity not in module.data_interfaces else f"{movement.name}_{quantity}"
        module.add(
            _series(
                name,
                values[:, columns],
                outputs[columns[0]].unit,
                f"True movement at each bin, from the LSL stream {movement.name}; NaN where there was none.",
                {"outputs": [[outputs[k].name, outputs[k].unit] for k in columns]},
                times,
            )
        )


def _quantities(outputs: Sequence[Output]) -> dict[str, list[int]]:
    """Columns by what they measure: ``velocity`` of ``x_velocity`` and ``y_velocity``, if their units agree."""
    found: dict[str, list[int]] = {}
    for k, output in enumerate(outputs):
        axis, _, quantity = output.name.partition("_")
        name = quantity if axis in ("x", "y", "z") and quantity else output.name
        if name in found and outputs[found[name][0]].unit != output.unit:
            name = output.name
        found.setdefault(name.replace("/", "_"), []).append(k)
    return found


def _add_decoded(module: Any, session: RecordedSession, decoded: DecodedStream, clock: _Clock) -> None:
    n = len(decoded.rows)
    if not n:
        return
    stamps = decoded.stream.times[:n]
    flags = session.estimates["flags"][decoded.rows].astype(np.int64)
    # While it warms up a filter passes its input through, with times that the first real outputs go back behind.
    warm = (flags & Flag.WARM_UP == 0) | (decoded.variant == Variant.raw)
    kept = np.flatnonzero(warm)
    kept = kept[_increasing(stamps[kept])]
    outputs = outputs_of(decoded.stream)
    units = {output.unit for output in outputs}
    module.add(
        _series(
            f"decoded_{decoded.variant.name}",
            np.asarray(decoded.stream.values[:n], np.float32)[kept],
            units.pop() if len(units) == 1 else "mixed",
            f"{decoded.variant.name} output of the decoder at the time that it describes: "
            f"{', '.join(f'{output.name} ({output.unit})' for output in outputs)}. {n - len(kept)} estimates made "
            "while the filter had no full block are left out.",
            {"outputs": [[output.name, output.unit] for output in outputs]},
            {"timestamps": clock.seconds(stamps[kept])},
        )
    )


def _add_settings(content: Any, session: RecordedSession, bin_s: float, clock: _Clock) -> None:
    from pynwb.epoch import TimeIntervals

    table = TimeIntervals(name="decoder_settings", description="What each stretch of estimates was decoded with.")
    for name, description in _SETTINGS.items():
        table.add_column(name, description)
    about = session.estimates
    edges = [0, *(np.flatnonzero(np.diff(about["revision"])) + 1).tolist(), len(about["revision"])]
    for start, stop in pairwise(edges):
        revision = int(about["revision"][start])
        said = session.settings_of(revision)
        table.add_row(
            start_time=float(clock.seconds(about["t_source"][start] - bin_s)),
            stop_time=float(clock.seconds(about["t_source"][stop - 1])),
            revision=revision,
            decoder=said["decoder"],
            sha256=said["sha256"],
            low_latency=_filter(said["output_filters"].get("low_latency")),
            high_accuracy=_filter(said["output_filters"].get("high_accuracy")),
            masked_channels=", ".join(map(str, said["masked_channels"])) or "none",
            gap_policy=said["session"]["gap_policy"],
            max_gap_s=float(said["session"]["max_gap_s"]),
        )
    content.add_time_intervals(table)


_SETTINGS = {
    "revision": "Revision of the session.",
    "decoder": "Kind of decoder.",
    "sha256": "Digest of the decoder's file.",
    "low_latency": "Filter behind the decoder; none if off.",
    "high_accuracy": "Filter behind the decoder; none if off.",
    "masked_channels": "Channels, from 0, in whose place the decoder got a constant.",
    "gap_policy": "What a missing bin became.",
    "max_gap_s": "A longer gap has reset the decoder.",
}


def _filter(settings: dict[str, Any] | None) -> str:
    return "none" if settings is None else ", ".join(f"{name} {value}" for name, value in settings.items())


def _add_events(content: Any, session: RecordedSession, clock: _Clock) -> None:
    from pynwb.event import EventsTable

    for name, events, source in (
        ("health_events", session.health, "The session's worker."),
        ("recorder_events", session.log, "The recorder."),
    ):
        table = EventsTable(
            name=name,
            description="Events of the live session, at the moment that they were published or noted.",
            source_description=source,
        )
        table.add_column("event", "What happened.")
        table.add_column("details", "Name and value of each further field.")
        for at, event in sorted(events, key=lambda event: event[0]):
            details = ", ".join(f"{key} {value}" for key, value in event.items() if key not in ("event", "at"))
            table.add_row(timestamp=clock.seconds(at), event=str(event.get("event", "unknown")), details=details)
        if events:
            content.add_events_table(table)


def _increasing(times: FloatArray) -> npt.NDArray[np.intp]:
    """Rows whose time is later than all before."""
    if not len(times):
        return np.empty(0, np.intp)
    latest = np.maximum.accumulate(times)
    return np.flatnonzero(np.r_[True, times[1:] > latest[:-1]])
