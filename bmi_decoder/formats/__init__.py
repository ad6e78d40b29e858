"""Recordings in files: one reader per format, all of which give a `Recording`."""

from bmi_decoder.formats.check import check_reader
from bmi_decoder.formats.npz import read_npz, read_provenance, write_npz
from bmi_decoder.formats.read import FORMATS, Format, read_recording
from bmi_decoder.formats.rebin import rebin
from bmi_decoder.formats.stevenson import read_stevenson
from bmi_decoder.formats.trial_csv import read_trial_csv

__all__ = [
    "FORMATS",
    "Format",
    "check_reader",
    "read_npz",
    "read_provenance",
    "read_recording",
    "read_stevenson",
    "read_trial_csv",
    "rebin",
    "write_npz",
]
