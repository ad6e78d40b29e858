"""What a recording of ours says of a session, beside the neural stream and the movement."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.xdf_streams import XdfFile, XdfStream, load_xdf
from bmi_decoder.wire import Variant

DECODED, ESTIMATES = "decoded", "estimates"
"""Types of the streams that hold outputs, and what is known of each estimate."""

COLUMNS = ("sequence", "bin_index", "t_source", "t_publish", "flags", "revision", "variants")
"""Channels of the second one; `variants` has one bit per variant code."""

Event = tuple[float, dict[str, Any]]
"""A stamp in seconds and a JSON object."""


@dataclass(frozen=True, eq=False)
class DecodedStream:
    """The outputs of one variant.

    Attributes
    ----------
    variant : Variant
    stream : XdfStream
        With names and units of the outputs; its times are what each estimate describes.
    rows : array (n,) of int
        Which estimate each sample belongs to.
    """

    variant: Variant
    stream: XdfStream
    rows: npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class RecordedSession:
    """A recording that ``bmi-decoder record`` has made.

    Attributes
    ----------
    path : Path
    name : str
        Of the session.
    neural : XdfStream
        The input of the session.
    streams : tuple of XdfStream
        All, this one too.
    estimates : dict of array (N,)
        By column, see `COLUMNS`.
    decoded : tuple of DecodedStream
    health, settings, states, log : tuple of Event
        In the order of the file.
    decoders : dict
        Bundles by their sha256.
    remarks : tuple of str
        What a reader should know of the file.
    """

    path: Path
    name: str
    neural: XdfStream
    streams: tuple[XdfStream, ...]
    estimates: dict[str, npt.NDArray[np.float64]]
    decoded: tuple[DecodedStream, ...]
    health: tuple[Event, ...]
    settings: tuple[Event, ...]
    states: tuple[Event, ...]
    log: tuple[Event, ...]
    decoders: dict[str, bytes]
    remarks: tuple[str, ...]

    def settings_of(self, revision: int) -> dict[str, Any]:
        """What a revision was decoded with.

        Raises
        ------
        InputError
            If the recording does not say.
        """
        found = [event for _, event in self.settings if event.get("revision") == revision]
        if not found:
            raise InputError(f"{self.path}: it does not say what revision {revision} was")
        # Recordings from before there were masks do not mention any.
        return {"masked_channels": []} | found[-1]


def read_session(path: Path | str) -> RecordedSession:
    """Read a recording of a session.

    Raises
    ------
    InputError
        If the file is no such recording, or damaged. One that ends inside a chunk is read up to there.
    BmiError
        If pyxdf is not installed.
    """
    path = Path(path)
    file = load_xdf(path)
    try:
        return _session(file, path)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: what it says of its session makes no sense ({error!r}); copy it again") from error


def _session(file: XdfFile, path: Path) -> RecordedSession:
    about = [stream for stream in file.streams if stream.type == ESTIMATES]
    if len(about) != 1 or not len(about[0].times):
        raise InputError(f"{path}: there are no estimates of a session; only recordings of 'bmi-decoder record' have")
    name = about[0].name.removesuffix(f"-{ESTIMATES}")
    events = {stream.name: _events(stream, path) for stream in file.streams if stream.format == "string"}
    settings = events.get(f"{name}-settings", ())
    replay = events.get(f"{name}-replay", ())
    values = np.asarray(about[0].values, np.float64)
    if values.shape[1] != len(COLUMNS):
        raise InputError(f"{path}: the stream {about[0].name!r} must have the channels {', '.join(COLUMNS)}")
    decoded = tuple(_decoded(stream, name, values, path) for stream in file.streams if stream.type == DECODED)
    if len({one.variant for one in decoded}) < len(decoded):
        raise InputError(
            f"{path}: the session was given a decoder with other outputs; record anew behind such a change"
        )
    return RecordedSession(
        path=path,
        name=name,
        neural=_neural(file.streams, settings, path),
        streams=file.streams,
        estimates=dict(zip(COLUMNS, values.T, strict=True)),
        decoded=decoded,
        health=events.get(f"{name}-health", ()),
        settings=settings,
        states=tuple(event for event in replay if event[1].get("event") == "state"),
        log=events.get("recorder", ()),
        decoders=_decoders(replay, path),
        remarks=file.remarks,
    )


def _events(stream: XdfStream, path: Path) -> tuple[Event, ...]:
    found = []
    for stamp, row in zip(stream.times, stream.values, strict=True):
        try:
            event = json.loads(row[0])
        except ValueError:
            continue  # a stream of another maker's markers
        if isinstance(event, dict):
            found.append((float(stamp), event))
    return tuple(found)


def _decoded(stream: XdfStream, session: str, about: npt.NDArray[np.float64], path: Path) -> DecodedStream:
    try:
        variant = Variant[stream.name.removeprefix(f"{session}-")]
    except KeyError:
        raise InputError(f"{path}: stream {stream.name!r} is of no known variant") from None
    bits = about[:, COLUMNS.index("variants")]
    if not ((bits >= 0) & (bits < 256)).all():
        raise InputError(f"{path}: the variants of an estimate must be bits below 256; the file is damaged")
    has = (bits.astype(np.int64) >> int(variant)) & 1
    rows = np.flatnonzero(has)
    if len(rows) > len(stream.times):
        raise InputError(
            f"{path}: {len(rows)} estimates have {variant.name}, but stream {stream.name!r} only {len(stream.times)}"
        )
    return DecodedStream(variant, stream, rows)


def _neural(streams: tuple[XdfStream, ...], settings: tuple[Event, ...], path: Path) -> XdfStream:
    wanted = [event["session"]["stream"] for _, event in settings[-1:]]
    found = [
        stream
        for stream in streams
        if not wanted or (stream.name, stream.type) == (wanted[0]["name"], wanted[0]["type"])
        if wanted or stream.type == "spikes"
    ]
    if len(found) != 1 or not len(found[0].times):
        raise InputError(f"{path}: the session's input is not in the recording exactly once")
    return found[0]


def _decoders(replay: tuple[Event, ...], path: Path) -> dict[str, bytes]:
    found = {}
    for _, event in replay:
        if event.get("event") == "decoder":
            content = base64.b64decode(event["bundle"])
            if hashlib.sha256(content).hexdigest() != event["sha256"]:
                raise InputError(f"{path}: the decoder {event['sha256'][:16]} in it is damaged")
            found[event["sha256"]] = content
    return found
