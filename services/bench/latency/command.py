"""``bmi-decoder bench latency``."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.commands.options import (
    add_json,
    check_output,
    parse_assignments,
    positive_seconds,
    say,
    settings_from,
    write_json,
)
from bmi_decoder.commands.training_extra import require_training_extra
from bmi_decoder.config import RealtimeSettings
from bmi_decoder.evaluation.report.page import write_page
from services.bench.arguments import add_rounds, load
from services.bench.host import host
from services.bench.latency.lanes import Lane, floor_lane, peer_lane, worker_lane
from services.bench.latency.report import latency_page
from services.bench.latency.rounds import measure
from services.bench.latency.summary import summarise
from services.bench.untrained import untrained_bundle
from services.ingest.lsl import configure_lsl

_LOADS = "250x96"


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "latency", help="from LSL push to ZeroMQ reception, beside a relay that decodes nothing"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--bundle", type=Path, metavar="FILE", help="measure this decoder, at its own rate and channels")
    what.add_argument(
        "--decoder",
        default="lstm",
        metavar="NAME",
        help="one with initial weights and both filters (default lstm)",
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="hyper-parameter of --decoder")
    parser.add_argument(
        "--loads",
        default=_LOADS,
        metavar="RxC,...",
        help=f"bins/s x channels for --decoder (default {_LOADS})",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="also measure a program of yours; the "
        "command has {stream} and {endpoint}, see docs/how-to/compare-latency.md",
    )
    parser.add_argument(
        "--realtime",
        action="append",
        default=[],
        metavar="KEY=VALUE,...",
        help="also measure our worker with these real-time settings, for example busy_poll=true,cpus=[1]",
    )
    parser.add_argument("--seconds", type=positive_seconds, default=10.0, metavar="S", help="per turn (default 10)")
    add_rounds(parser, default=3)
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page with pictures here, DIR/index.html")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, print a table, write what was asked for."""
    check_output(options.json)
    check_output(options.report, makes_folders=True)
    configure_lsl("loopback")
    machine = host()
    results, turns = [], []
    for name, bundle in _bundles(options):
        manifest = bundle.manifest
        n_channels, rate_hz = manifest.n_channels, 1 / manifest.bin_s
        say(f"{name}: {n_channels} channels at {rate_hz:g} bins/s, {options.rounds} x {options.seconds:g} s per lane")
        with tempfile.TemporaryDirectory(prefix="bmi-decoder-bench-") as folder:
            lanes = _lanes(name, bundle, options, Path(folder))
            rounds = measure(n_channels, rate_hz, lanes, options.rounds, options.seconds, Path(folder))
        result = {
            "decoder": name,
            "n_channels": n_channels,
            "rate_hz": round(rate_hz, 6),
            "variants": [variant for variant, _ in manifest.output_filters.items()],
            "lanes": summarise(rounds),
        }
        results.append(result)
        turns.append(rounds)
        _print(result)
    if options.report is not None:
        where = (
            f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, load {machine['load_average'][0]}"
        )
        say(f"report: {write_page(options.report, latency_page(results, turns, where))}")
    write_json(options.json, {"host": machine, "loads": results})
    return 0


def _bundles(options: argparse.Namespace) -> list[tuple[str, Bundle]]:
    if options.bundle is not None:
        bundle = read_bundle(options.bundle)
        return [(bundle.manifest.decoder, bundle)]
    require_training_extra("bench latency --decoder")
    chosen = parse_assignments(options.set)
    return [
        (options.decoder, untrained_bundle(options.decoder, chosen, *load("--loads", text)))
        for text in options.loads.split(",")
    ]


def _lanes(name: str, bundle: Bundle, options: argparse.Namespace, folder: Path) -> list[Lane]:
    stream = f"bench-{os.getpid()}"
    lanes = [floor_lane(f"{stream}-floor"), worker_lane(name, f"{stream}-{name}", bundle, folder)]
    for i, text in enumerate(options.realtime):
        realtime = settings_from(RealtimeSettings, parse_assignments(text.split(",")), f"--realtime {text}")
        lanes.append(worker_lane(f"{name} {text}", f"{stream}-{name}{i}", bundle, folder, realtime))
    return [*lanes, *(peer_lane(peer, f"{stream}-peer{i}") for i, peer in enumerate(options.peer))]


def _print(result: dict[str, Any]) -> None:
    for name, lane in result["lanes"].items():
        latency, ratio = lane["latency_us"], lane["ratio_to_floor"]
        print(
            f"{name:>20}  p50 {latency['p50']:8.1f} us ({ratio['p50']:.2f} x floor)  p99 {latency['p99']:8.1f} us "
            f"({ratio['p99']:.2f})  p99.9 {latency['p99.9']:9.1f} us  max {latency['max']:9.1f} us  "
            f"CPU {lane['cpu_us_per_bin']:6.1f} us/bin  {lane['resident_mb']:6.1f} MB  missing {lane['missing']}"
        )
