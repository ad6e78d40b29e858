"""``bmi-decoder inspect``: what is in a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmi_decoder.commands.options import add_json, say, write_json
from bmi_decoder.commands.reading import add_reading, reading_choices


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("inspect", help="tell what is in a recording: channels, rates, gaps, movement")
    add_reading(parser)
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page with pictures here, DIR/index.html")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print, and write the page; a sound file that holds nothing to decode is no failure."""
    from bmi_decoder.inspection.inspect import inspect_file
    from bmi_decoder.inspection.words import lines

    inspection = inspect_file(options.recording, **reading_choices(options))
    if options.json != "-":
        print("\n".join(lines(inspection)))
    write_json(options.json, inspection.as_json())
    if options.report is not None:
        from bmi_decoder.evaluation.report.page import write_page
        from bmi_decoder.inspection.inspection_page import inspection_page

        say(f"report: {write_page(options.report, inspection_page(inspection))}")
    return 0
