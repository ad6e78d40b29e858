"""``bmi-decoder bench decoders``."""

from __future__ import annotations

import argparse
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.commands.options import add_json, check_output, parse_assignments, say, write_json
from bmi_decoder.commands.training_extra import require_training_extra
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.cadence import probe_counts
from bmi_decoder.machine.touched import touched_bytes
from services.bench.arguments import add_rounds, add_walk, positive
from services.bench.bandwidth import Bandwidth
from services.bench.columns import line
from services.bench.decoders.measure import CADENCE, HOT, MACHINE, ONNX, REHEARSED, TORCH, Schedule, measure
from services.bench.decoders.offline import bins_per_second
from services.bench.decoders.summary import summarise
from services.bench.host import host
from services.bench.percentiles import median_and_tail
from services.bench.untrained import untrained_bundle

_GROUP = "bmi_decoder.decoders"
_COUNTED_BINS = 256


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "decoders", help="one step of each decoder: the machine, bound ONNX Runtime and eager torch"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--bundle", type=Path, action="append", metavar="FILE", help="measure this one")
    what.add_argument("--decoders", metavar="A,B,C", help="registered ones, with initial weights (default: all)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="hyper-parameter of all --decoders"
    )
    parser.add_argument("--rate", type=positive(float), default=250.0, metavar="R", help="bins/s (default 250)")
    parser.add_argument("--channels", type=positive(int), default=96, metavar="C", help="default 96")
    parser.add_argument(
        "--hot", type=positive(int), default=2000, metavar="N", help="steps back to back (default 2000)"
    )
    parser.add_argument("--steps", type=positive(int), default=250, metavar="N", help="at the rate (default 250)")
    add_walk(parser)
    add_rounds(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, print a table, write what was asked for."""
    check_output(options.json)
    require_training_extra("bench decoders")
    machine, bandwidth = host(), Bandwidth()
    results: list[dict[str, Any]] = []
    schedule = Schedule(options.rounds, options.hot, options.steps, options.walk_kb * 1024)
    for name in options.bundle or _names(options.decoders):
        bundle = _bundle(name, options)
        say(f"{name}: {schedule.rounds} rounds")
        with tempfile.TemporaryDirectory(prefix="bmi-decoder-bench-") as folder:
            times = measure(bundle, schedule, bandwidth, Path(folder))
        manifest, touched = bundle.manifest, None
        if bundle.program is not None:
            counts = probe_counts(manifest.n_channels, manifest.bin_s)
            touched = touched_bytes(bundle.program, counts[:_COUNTED_BINS])
        result = {
            "decoder": manifest.decoder,
            "n_channels": manifest.n_channels,
            "rate_hz": round(1 / manifest.bin_s, 6),
            **summarise(times, touched, bandwidth),
            "offline_bins_per_s": bins_per_second(bundle),
        }
        _print(result, first=not results)
        results.append(result)
    bytes_walked = {"walk_bytes": schedule.walk_bytes}
    write_json(
        options.json, {"host": machine, "bandwidth": bandwidth.summary(), "cadence": bytes_walked, "decoders": results}
    )
    return 0


def _names(text: str | None) -> list[str]:
    known = sorted(point.name for point in entry_points(group=_GROUP))
    chosen = known if text is None else text.split(",")
    for name in chosen:
        if name not in known:
            raise InputError(f"there is no decoder {name!r}; choose from {', '.join(known)}")
    return chosen


def _bundle(name: str | Path, options: argparse.Namespace) -> Bundle:
    if isinstance(name, Path):
        return read_bundle(name)
    return untrained_bundle(name, parse_assignments(options.set), options.rate, options.channels)


_HEAD = (
    *(("decoder", 14), ("hot us", 15), ("x bound", 8), ("at rate us", 15), ("rehearsed us", 15)),
    *(("onnx hot", 9), ("at rate", 8), ("rehearsed", 9), ("torch hot", 9), ("at rate", 8), ("rehearsed", 9)),
    ("bins/s", 10),
)


def _print(result: dict[str, Any], first: bool) -> None:
    """One line; us are medians and, behind a slash, the 99th percentile."""
    if first:
        print(line(_HEAD))
    machine, ratios = result["runtimes"].get(MACHINE, {}), result.get("times_the_machine", {})
    cells = [
        result["decoder"],
        median_and_tail(machine, HOT),
        _times(result.get("times_the_bound", {}).get(HOT)),
        median_and_tail(machine, CADENCE),
        median_and_tail(machine, REHEARSED),
        *(_times(ratios.get(name, {}).get(way)) for name in (ONNX, TORCH) for way in (HOT, CADENCE, REHEARSED)),
        f"{result['offline_bins_per_s']:,.0f}",
    ]
    print(line((cell, width) for cell, (_, width) in zip(cells, _HEAD, strict=True)), flush=True)


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"
