"""``bmi-decoder convert``: a recording of any format as our own file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmi_decoder.commands.options import say
from bmi_decoder.commands.reading import add_reading, reading_choices
from bmi_decoder.formats import read_recording, write_npz


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("convert", help="write a recording as .npz, which is read without extra packages")
    add_reading(parser)
    parser.add_argument("out", type=Path, metavar="OUT", help="an .npz file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read with the choices that were made, and write."""
    recording = read_recording(options.recording, **reading_choices(options))
    write_npz(recording, options.out)
    say(f"{options.out}: {recording.n_bins} bins of {recording.n_channels} channels, {len(recording.spans)} segments")
    return 0
