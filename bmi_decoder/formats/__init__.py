"""Recordings in files: one reader per format, all of which give a `Recording`."""

from bmi_decoder.formats.check import check_reader
from bmi_decoder.formats.npz import read_npz, read_provenance, write_npz
from bmi_decoder.formats.nwb import read_nwb
from bmi_decoder.formats.odoherty import read_odoherty
from bmi_decoder.formats.reaches import ReachSplit, read_reaches, split_by_reaches
from bmi_decoder.formats.read import FORMATS, Format, format_of, read_recording
from bmi_decoder.formats.rebin import rebin
from bmi_decoder.formats.stevenson import read_stevenson
from bmi_decoder.formats.trial_csv import read_trial_csv
from bmi_decoder.formats.xdf import read_xdf
from bmi_decoder.formats.xdf_streams import XdfFile, XdfStream, load_xdf

__all__ = [
    "FORMATS",
    "Format",
    "ReachSplit",
    "XdfFile",
    "XdfStream",
    "check_reader",
    "format_of",
    "load_xdf",
    "read_npz",
    "read_nwb",
    "read_odoherty",
    "read_provenance",
    "read_reaches",
    "read_recording",
    "read_stevenson",
    "read_trial_csv",
    "read_xdf",
    "rebin",
    "split_by_reaches",
    "write_npz",
]
