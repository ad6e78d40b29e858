"""One function for every known file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmi_decoder.errors import InputError
from bmi_decoder.formats.npz import read_npz
from bmi_decoder.formats.nwb import read_nwb
from bmi_decoder.formats.odoherty import read_odoherty
from bmi_decoder.formats.opening import file_head
from bmi_decoder.formats.rebin import rebin
from bmi_decoder.formats.stevenson import read_stevenson
from bmi_decoder.formats.trial_csv import read_trial_csv
from bmi_decoder.formats.xdf import read_xdf
from bmi_decoder.recording import Recording


@dataclass(frozen=True)
class Format:
    """A kind of file that can be read.

    Parameters
    ----------
    name : str
        Short and unique.
    suffix : str
        Usual end of the file name, with the dot.
    signatures : tuple of bytes
        What such a file begins with. None for text, which has no signature.
    read : callable
        Its reader.
    summary : str
        What it is, in a few words.
    choices : tuple of str
        What its reader can be told beside the path. One that takes ``bin_s`` bins the spikes itself.
    """

    name: str
    suffix: str
    signatures: tuple[bytes, ...]
    read: Callable[..., Recording]
    summary: str
    choices: tuple[str, ...] = ()


_HDF5 = b"\x89HDF\r\n\x1a\n"

FORMATS = (
    Format("npz", ".npz", (b"PK\x03\x04",), read_npz, "recording written by bmi-decoder"),
    Format("stevenson", ".mat", (b"MATLAB",), read_stevenson, "MATLAB v5 in the Stevenson M1 layout"),
    Format("nwb", ".nwb", (_HDF5,), read_nwb, "NWB with units and behaviour", ("bin_s", "series")),
    Format(
        "odoherty",
        ".mat",
        (b"MATLAB 7.3", _HDF5),
        read_odoherty,
        "MATLAB v7.3 in the O'Doherty and Sabes layout",
        ("spike_sorting",),
    ),
    Format("xdf", ".xdf", (b"XDF:",), read_xdf, "XDF recording of LSL streams", ("neural", "kinematics")),
    Format("csv", ".csv", (), read_trial_csv, "trial CSV in the mc_maze layout"),
)


def read_recording(path: Path | str, bin_s: float | None = None, **choices: Any) -> Recording:
    """Read a recording file of any known format.

    What the file begins with decides the format; where that says nothing or not enough, the end of its name does.

    Parameters
    ----------
    path : Path or str
        The file.
    bin_s : float, optional
        Width in seconds of the bins to return, an integer multiple of those in the file. None keeps them.
    **choices
        For the reader of the format, such as ``series="hand_vel"``; None stands for no choice.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, is of no known format or is not valid in its format, or its
        format has no such choice.
    BmiError
        If a package is missing that the format needs.
    """
    path = Path(path)
    known = format_of(path)
    made = {name: value for name, value in choices.items() if value is not None}
    wrong = next((name for name in made if name not in known.choices), None)
    if wrong:
        others = ", ".join(other.name for other in FORMATS if wrong in other.choices) or "no format"
        raise InputError(f"{path}: '{wrong}' is a choice for {others}, not for a file of format {known.name}")
    if "bin_s" in known.choices:
        return known.read(path, bin_s=bin_s, **made)
    recording = known.read(path, **made)
    return recording if bin_s is None else rebin(recording, bin_s)


def format_of(path: Path) -> Format:
    """Which format a file has; raises InputError if none is known."""
    head = file_head(path)
    suffix = path.suffix.lower()
    fits = [
        (known.suffix == suffix, len(signature), known)
        for known in FORMATS
        for signature in known.signatures
        if head.startswith(signature)
    ]
    if fits:
        return max(fits, key=lambda fit: fit[:2])[2]
    for known in FORMATS:
        if known.suffix == suffix:
            return known
    listed = "; ".join(f"{known.suffix} ({known.summary})" for known in FORMATS)
    raise InputError(f"{path}: unknown recording format; known are {listed}")
