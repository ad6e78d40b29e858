"""``bmi-decoder bench filters``."""

from __future__ import annotations

import argparse
from typing import Any

from bmi_decoder.commands.options import add_json, check_output, say, write_json
from bmi_decoder.errors import InputError
from filters import minimum_width
from services.bench.arguments import add_rounds, add_walk, positive, whole_numbers
from services.bench.columns import line
from services.bench.filters.lanes import LIBRARY, MACHINE, SCIPY
from services.bench.filters.measure import CADENCE, HOT, measure
from services.bench.host import host
from services.bench.percentiles import median_and_tail

_CHANNELS, _WIDTHS = "2,96,1024", "32,64"
_ORDER = 4
_SLOWEST_HZ = 15.0


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "filters", help="the block-bidirectional filter per bin, beside scipy.signal.filtfilt over each block"
    )
    parser.add_argument("--channels", default=_CHANNELS, metavar="C,...", help=f"default {_CHANNELS}")
    parser.add_argument("--widths", default=_WIDTHS, metavar="W,...", help=f"blocks in bins, default {_WIDTHS}")
    parser.add_argument("--rate", type=positive(float), default=250.0, metavar="R", help="bins/s (default 250)")
    parser.add_argument("--hot", type=positive(int), default=2000, metavar="N", help="bins in a row (default 2000)")
    parser.add_argument("--steps", type=positive(int), default=100, metavar="N", help="at the rate (default 100)")
    add_walk(parser)
    add_rounds(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, print a table, write what was asked for."""
    check_output(options.json)
    channels = whole_numbers("--channels", options.channels, 1)
    widths = whole_numbers("--widths", options.widths, minimum_width(_ORDER))
    if options.rate < _SLOWEST_HZ:
        raise InputError(f"--rate must be {_SLOWEST_HZ:g} or more for a cutoff of 6.25 Hz, got {options.rate:g}")
    machine = host()
    results: list[dict[str, Any]] = []
    for n_channels in channels:
        for width in widths:
            say(f"{n_channels} channels, W = {width}: {options.rounds} rounds")
            result = measure(
                n_channels, width, options.rate, options.rounds, options.hot, options.steps, options.walk_kb * 1024
            )
            _print(result, first=not results)
            results.append(result)
    write_json(
        options.json,
        {
            "host": machine,
            "cadence": {"rate_hz": options.rate, "walk_bytes": options.walk_kb * 1024},
            "filters": results,
        },
    )
    return 0


_HEAD = (
    *(("C", 5), ("W", 4), ("machine hot us", 15), ("at rate us", 15), ("library hot us", 17), ("filtfilt hot us", 17)),
    *(("x machine hot", 13), ("at rate", 8), ("x library", 9), ("machine bins/s", 14)),
)


def _print(result: dict[str, Any], first: bool) -> None:
    """One line; us are medians and, behind a slash, the 99th percentile."""
    if first:
        print(line(_HEAD))
    ratios = result["filtfilt_times"]
    cells = [
        str(result["n_channels"]),
        str(result["width"]),
        median_and_tail(result[MACHINE], HOT),
        median_and_tail(result[MACHINE], CADENCE),
        median_and_tail(result[LIBRARY], HOT),
        median_and_tail(result[SCIPY], HOT),
        *(f"{ratio:.0f}x" for ratio in (ratios[MACHINE][HOT], ratios[MACHINE][CADENCE], ratios[LIBRARY][HOT])),
        f"{result['offline_bins_per_s'][MACHINE]:,.0f}",
    ]
    print(line((cell, width) for cell, (_, width) in zip(cells, _HEAD, strict=True)), flush=True)
