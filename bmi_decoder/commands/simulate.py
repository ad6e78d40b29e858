"""``bmi-decoder simulate``: a recording of a simulated subject."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmi_decoder.commands.options import say, settings_from
from bmi_decoder.formats import write_npz
from bmi_decoder.simulation import SubjectSettings, provenance, simulate, write_odoherty


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("simulate", help="write a recording of a simulated reaching subject")
    parser.add_argument("out", type=Path, metavar="OUT", help="an .npz file, or .mat in the O'Doherty layout")
    parser.add_argument("--seconds", type=float, default=600.0, metavar="S")
    parser.add_argument("--channels", type=int, default=96, metavar="C")
    parser.add_argument("--bin-ms", type=float, default=4.0, metavar="B")
    parser.add_argument("--subject", type=int, default=0, metavar="N", help="which subject: its neurons")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which session: behaviour, noise, spikes")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Simulate and write, with everything needed to make the file again."""
    values = {
        "bin_s": options.bin_ms / 1e3,
        "subject_seed": options.subject,
        "seed": options.seed,
        "population": {"n_channels": options.channels},
    }
    settings = settings_from(SubjectSettings, values, "simulate")
    if options.out.suffix == ".mat":
        write_odoherty(settings, options.seconds, options.out)
        say(f"{options.out}: {options.seconds:g} s of {options.channels} channels")
        return 0
    recording = simulate(settings, options.seconds)
    write_npz(recording, options.out, provenance(settings, options.seconds))
    say(f"{options.out}: {recording.n_bins} bins of {recording.n_channels} channels")
    return 0
