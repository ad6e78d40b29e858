"""LabStreamingLayer recordings (XDF): a stream of spike counts and a stream of movement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bmi_decoder.errors import InputError
from bmi_decoder.formats.alignment import align
from bmi_decoder.formats.xdf_streams import XdfStream, load_xdf
from bmi_decoder.recording import Recording

NEURAL_TYPES = ("spikes",)
KINEMATICS_TYPES = ("kinematics", "mocap")
_MOST_S = 1e12
"""No clock has run for so long; beyond it stamps are too coarse to tell bins apart."""


def read_xdf(path: Path | str, neural: str | None = None, kinematics: str | None = None) -> Recording:
    """Read spike counts and movement from a recording of LSL streams.

    Parameters
    ----------
    path : Path or str
        XDF file, as LabRecorder writes it.
    neural : str, optional
        Name or type of the stream of spike counts, one sample per bin. None takes the one of type ``spikes``.
    kinematics : str, optional
        Name or type of the stream of movement. None takes the one of type ``kinematics`` or ``MoCap``.

    Returns
    -------
    Recording
        One bin per sample of the neural stream; its stamp is the end of the bin. The movement is the mean of the
        samples within a bin where the kinematics stream is faster, and otherwise at the stamp, on the straight line
        between the two samples around it. A gap or a clock reset in either stream ends a segment, bins without
        movement are left out, and no line is drawn across.

    Raises
    ------
    InputError
        If a stream is missing, not unique or irregular, or the file is damaged. The message lists the streams.
    BmiError
        If pyxdf is not installed.
    """
    path = Path(path)
    streams = load_xdf(path).streams
    counts = choose_stream(streams, neural, NEURAL_TYPES, "neural", path)
    movement = choose_stream(streams, kinematics, KINEMATICS_TYPES, "kinematics", path)
    alignment = align(counts, movement, path)
    try:
        return alignment.recording(f"{path.name} (XDF, {counts.name})")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def choose_stream(
    streams: Sequence[XdfStream], wanted: str | None, types: tuple[str, ...], what: str, path: Path
) -> XdfStream:
    """The stream with the wanted name or type, or else the only one of `types`.

    Raises
    ------
    InputError
        If it is missing, not unique, empty or of strings. The message lists the streams.
    """
    names = types if wanted is None else (wanted.casefold(),)
    found = [stream for stream in streams if stream.type.casefold() in names]
    if wanted is not None:
        found = [stream for stream in streams if stream.name == wanted] or found
    if len(found) != 1:
        sought = f"of type {' or '.join(types)}" if wanted is None else f"with the name or type {wanted!r}"
        listed = "; ".join(stream.describe() for stream in streams) or "no stream at all"
        problem = "no" if not found else "more than one"
        raise InputError(f"{path}: there is {problem} {what} stream {sought}; the file has {listed}")
    if found[0].format == "string" or not len(found[0].times):
        problem = "text" if found[0].format == "string" else "no samples"
        raise InputError(f"{path}: the {what} stream {found[0].name!r} holds {problem}; choose another")
    if not (np.abs(found[0].times) < _MOST_S).all():
        raise InputError(
            f"{path}: the stamps of stream {found[0].name!r} must be finite and below {_MOST_S:g} s; "
            "the file is damaged"
        )
    return found[0]
