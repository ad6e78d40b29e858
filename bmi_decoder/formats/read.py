"""One function for every known file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bmi_decoder.errors import InputError
from bmi_decoder.formats.npz import read_npz
from bmi_decoder.formats.opening import file_head
from bmi_decoder.formats.rebin import rebin
from bmi_decoder.formats.stevenson import read_stevenson
from bmi_decoder.formats.trial_csv import read_trial_csv
from bmi_decoder.recording import Recording


@dataclass(frozen=True)
class Format:
    """A kind of file that can be read.

    Parameters
    ----------
    suffix : str
        Usual end of the file name, with the dot.
    signatures : tuple of bytes
        What such a file begins with. None for text, which has no signature.
    read : callable
        Its reader.
    summary : str
        What it is, in a few words.
    """

    suffix: str
    signatures: tuple[bytes, ...]
    read: Callable[[Path | str], Recording]
    summary: str


FORMATS = (
    Format(".npz", (b"PK\x03\x04",), read_npz, "recording written by bmi-decoder"),
    # HDF5 goes to the reader of MATLAB v5 because its error says how to convert the file.
    Format(".mat", (b"MATLAB", b"\x89HDF\r\n\x1a\n"), read_stevenson, "MATLAB v5 in the Stevenson M1 layout"),
    Format(".csv", (), read_trial_csv, "trial CSV in the mc_maze layout"),
)


def read_recording(path: Path | str, bin_s: float | None = None) -> Recording:
    """Read a recording file of any known format.

    What the file begins with decides the format; where that says nothing, the end of its name does.

    Parameters
    ----------
    path : Path or str
        The file.
    bin_s : float, optional
        Width in seconds of the bins to return, an integer multiple of those in the file. None keeps them.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, is of no known format or is not valid in its format.
    """
    path = Path(path)
    recording = _format_of(path).read(path)
    return recording if bin_s is None else rebin(recording, bin_s)


def _format_of(path: Path) -> Format:
    head = file_head(path)
    for known in FORMATS:
        if head.startswith(known.signatures):
            return known
    for known in FORMATS:
        if path.suffix.lower() == known.suffix:
            return known
    listed = "; ".join(f"{known.suffix} ({known.summary})" for known in FORMATS)
    raise InputError(f"{path}: unknown recording format; known are {listed}")
