"""``bmi-decoder bench machine``."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.commands.options import add_json, check_output, say, write_json
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.cadence import time_calls, walk
from services.bench.arguments import add_rounds, add_walk, positive
from services.bench.bandwidth import Bandwidth
from services.bench.columns import line
from services.bench.host import host
from services.bench.machine.cases import CALL, TYPICAL_SIZES, Case, cases
from services.bench.percentiles import median_and_tail, microseconds

Times = dict[str, list[npt.NDArray[np.int64]]]

_REPEATS = 64


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("machine", help="each instruction of the streaming machine by itself")
    parser.add_argument("--instructions", metavar="A,B,C", help="default: all")
    parser.add_argument(
        "--activity",
        type=positive(float),
        default=0.02,
        metavar="SHARE",
        help="of inputs that are not zero, in a second line for the dense layer (default 0.02)",
    )
    parser.add_argument("--rate", type=positive(float), default=250.0, metavar="R", help="bins/s (default 250)")
    parser.add_argument(
        "--hot", type=positive(int), default=40, metavar="N", help=f"programs of {_REPEATS} copies (default 40)"
    )
    parser.add_argument("--steps", type=positive(int), default=40, metavar="N", help="at the rate (default 40)")
    add_walk(parser)
    add_rounds(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, print a table, write what was asked for."""
    check_output(options.json)
    if options.activity >= 1:
        raise InputError(f"--activity is a share below 1, got {options.activity:g}")
    chosen = _chosen(cases(_REPEATS, options.activity), options.instructions)
    machine, bandwidth, between = host(), Bandwidth(), walk(options.walk_kb * 1024)
    hot: Times = {}
    cadence: Times = {}
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}: {len(chosen)} programs")
        bandwidth.measure()
        for place in range(len(chosen)):
            case = chosen[(place + number) % len(chosen)]
            hot.setdefault(case.name, []).append(time_calls(case.many, options.hot))
            cadence.setdefault(case.name, []).append(
                time_calls(case.once, options.steps, 1 / options.rate, between=between)
            )
    results = summarise(chosen, hot, cadence, bandwidth)
    _print(results)
    write_json(
        options.json,
        {
            "host": machine,
            "bandwidth": bandwidth.summary(),
            "cadence": {"rate_hz": options.rate, "walk_bytes": options.walk_kb * 1024},
            "sizes": TYPICAL_SIZES,
            "instructions": results,
        },
    )
    return 0


def _chosen(every: list[Case], text: str | None) -> list[Case]:
    if text is None:
        return every
    names = text.split(",")
    known = [case.name.partition(",")[0] for case in every]
    for name in names:
        if name not in known[1:]:
            raise InputError(f"there is no instruction {name!r}; choose from {', '.join(dict.fromkeys(known[1:]))}")
    return [case for case, name in zip(every, known, strict=True) if name in (CALL, *names)]


def summarise(chosen: list[Case], hot: Times, cadence: Times, bandwidth: Bandwidth) -> list[dict[str, Any]]:
    """Figures per program. Hot times are per instruction, without the call; at the cadence they contain it."""
    calls = [float(np.median(times)) for times in hot[CALL]]
    results = []
    for case in chosen:
        figures: dict[str, Any] = {"instruction": case.name, "bytes": case.n_bytes}
        if case.name == CALL:
            figures["hot_us"] = microseconds(hot[case.name])
        else:
            each = [(times - call) / case.repeats for times, call in zip(hot[case.name], calls, strict=True)]
            figures["hot_us"] = microseconds(each)
            ns = float(np.median([np.median(times) for times in each]))
            figures["hot_gb_s"] = round(case.n_bytes / ns, 2)
            figures["share_of_l2_bandwidth"] = round(bandwidth.l2_us(case.n_bytes) * 1e3 / ns, 3)
        figures["cadence_us"] = microseconds(cadence[case.name])
        results.append(figures)
    return results


_HEAD = (("instruction", 20), ("bytes", 8), ("hot us", 15), ("GB/s", 7), ("of L2", 6), ("at rate us", 15))


def _print(results: list[dict[str, Any]]) -> None:
    """One line each; us are medians and, behind a slash, the 99th percentile."""
    print(line(_HEAD))
    for result in results:
        rate, share = result.get("hot_gb_s"), result.get("share_of_l2_bandwidth")
        cells = [
            result["instruction"],
            str(result["bytes"]),
            median_and_tail(result, "hot"),
            "-" if rate is None else f"{rate:.1f}",
            "-" if share is None else f"{share:.0%}",
            median_and_tail(result, "cadence"),
        ]
        print(line((cell, width) for cell, (_, width) in zip(cells, _HEAD, strict=True)))
