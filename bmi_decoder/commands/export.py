"""``bmi-decoder export``: a recorded session in a format of the field."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmi_decoder.commands.options import check_output, say


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "export",
        help="write a recorded session as NWB",
        description="Counts, true movement, decoded outputs, settings and events of a recording of bmi-decoder record.",
    )
    parser.add_argument("recording", type=Path, metavar="REC.xdf")
    parser.add_argument("--to", choices=["nwb"], required=True, help="the format")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: beside the recording, ending in .nwb")
    parser.add_argument("--subject", metavar="ID", help="default: the participant in the recording's name")
    parser.add_argument("--species", metavar="LATIN", help="such as 'Macaca mulatta'")
    parser.add_argument("--sex", choices=["M", "F", "O", "U"], default="U", help="O is other, U unknown (default)")
    parser.add_argument("--age", metavar="DURATION", help="in ISO 8601, such as P6Y")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the file."""
    from bmi_decoder.formats.nwb_export import SubjectInfo, export_nwb

    out = options.out or options.recording.with_suffix(".nwb")
    check_output(out)
    export_nwb(options.recording, out, SubjectInfo(options.subject, options.species, options.sex, options.age))
    say(f"{out}: {out.stat().st_size} bytes")
    return 0
