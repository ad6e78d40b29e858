"""Options of commands that read a recording of any format."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_reading(
    parser: argparse.ArgumentParser, metavar: str = "RECORDING", meaning: str = "a file of any known format"
) -> None:
    """Add the recording, the bin width and what readers can be told."""
    parser.add_argument("recording", type=Path, metavar=metavar, help=meaning)
    parser.add_argument("--bin-ms", type=float, metavar="MS", help="bin width in ms, instead of that of the file")
    parser.add_argument("--series", metavar="NAME", help="NWB: the behavioural series to decode")
    parser.add_argument("--neural", metavar="NAME", help="XDF: name or type of the stream of spike counts")
    parser.add_argument("--kinematics", metavar="NAME", help="XDF: name or type of the stream of movement")
    parser.add_argument(
        "--spike-sorting", action="store_true", default=None, help="O'Doherty sessions: every unit is a channel"
    )


def reading_choices(options: argparse.Namespace) -> dict[str, Any]:
    """The choices for `read_recording`, bin width included; None where nothing was said."""
    choices = {name: getattr(options, name) for name in ("series", "neural", "kinematics", "spike_sorting")}
    return {"bin_s": None if options.bin_ms is None else options.bin_ms / 1e3, **choices}
