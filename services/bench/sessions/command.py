"""``bmi-decoder bench sessions``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.commands.options import add_json, check_output, parse_assignments, positive_seconds, say, write_json
from bmi_decoder.commands.training_extra import require_training_extra
from services.bench.arguments import load, whole_numbers
from services.bench.columns import line
from services.bench.host import host
from services.bench.sessions.load import Load, run_sessions
from services.bench.untrained import untrained_bundle
from services.ingest.lsl import configure_lsl
from services.percentiles import percentiles

_COUNTS, _LOAD = "1,4,16", "250x96"


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("sessions", help="many workers at once, or one for long: latency, processor, memory")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--bundle", type=Path, metavar="FILE", help="measure this decoder, at its own rate and channels")
    what.add_argument(
        "--decoder", default="lstm", metavar="NAME", help="one with initial weights and both filters (default lstm)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="hyper-parameter of --decoder")
    parser.add_argument("--load", default=_LOAD, metavar="RxC", help=f"bins/s x channels for --decoder ({_LOAD})")
    parser.add_argument("--counts", default=_COUNTS, metavar="N,...", help=f"sessions side by side (default {_COUNTS})")
    parser.add_argument("--seconds", type=positive_seconds, default=20.0, metavar="S", help="per count (default 20)")
    parser.add_argument(
        "--period", type=positive_seconds, metavar="S", help="also tell how each period went (default: one only)"
    )
    parser.add_argument(
        "--sync-outlets",
        action="store_true",
        help="the source's outlets write as they are pushed to, which costs it less",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, print a table, write what was asked for."""
    check_output(options.json)
    counts = whole_numbers("--counts", options.counts, 1)
    configure_lsl("loopback")
    machine, bundle = host(), _bundle(options)
    manifest = bundle.manifest
    results: list[dict[str, Any]] = []
    for n_sessions in counts:
        say(f"{n_sessions} x {manifest.decoder}: {manifest.n_channels} channels at {1 / manifest.bin_s:g} bins/s")
        with tempfile.TemporaryDirectory(prefix="bmi-decoder-bench-") as folder:
            period_s = options.seconds if options.period is None else options.period
            found = run_sessions(n_sessions, bundle, options.seconds, period_s, Path(folder), options.sync_outlets)
            result = summarise(found, n_sessions)
        _print(result, first=not results)
        results.append(result)
    write_json(
        options.json,
        {
            "host": machine,
            "decoder": manifest.decoder,
            "n_channels": manifest.n_channels,
            "rate_hz": round(1 / manifest.bin_s, 6),
            "sync_outlets": options.sync_outlets,
            "sessions": results,
        },
    )
    return 0


def summarise(load: Load, n_sessions: int) -> dict[str, Any]:
    """Figures of one run; periods are told apart if there are several."""
    session, at_s, latency = load.received.T
    ends = [period.at_s for period in load.periods]
    period_of = np.searchsorted(ends, at_s)
    of_each = [latency[session == i] for i in range(n_sessions)]
    return {
        "n_sessions": n_sessions,
        "samples": len(latency),
        "missing": load.n_missing,
        "latency_us": percentiles(latency),
        "worst_session_p99_us": round(max(float(np.percentile(its, 99)) for its in of_each), 1),
        "periods": [
            {
                "at_s": period.at_s,
                "latency_us": percentiles(latency[period_of == i]),
                "cpu_share": round(float(period.cpu_share.mean()), 4),
                "resident_mb": round(float(period.resident_mb.mean()), 2),
                "unique_mb": round(float(period.unique_mb.mean()), 2),
                "shared_mb": round(float(period.shared_mb.mean()), 2),
            }
            for i, period in enumerate(load.periods)
        ],
    }


def _bundle(options: argparse.Namespace) -> Bundle:
    if options.bundle is not None:
        return read_bundle(options.bundle)
    require_training_extra("bench sessions --decoder")
    return untrained_bundle(options.decoder, parse_assignments(options.set), *load("--load", options.load))


_HEAD = (
    *(("sessions", 8), ("to s", 6), ("p50 us", 9), ("p99 us", 9), ("p99.9 us", 10), ("max us", 10), ("worst p99", 10)),
    *(("missing", 7), ("CPU each", 8), ("resident MB", 11), ("unique MB", 9), ("shared MB", 9)),
)


def _print(result: dict[str, Any], first: bool) -> None:
    """One line a period, or one for all."""
    if first:
        print(line(_HEAD))
    for period in result["periods"]:
        latency = period["latency_us"]
        cells = [
            str(result["n_sessions"]),
            f"{period['at_s']:g}",
            *(f"{latency[name]:.1f}" for name in ("p50", "p99", "p99.9", "max")),
            f"{result['worst_session_p99_us']:.1f}",
            str(result["missing"]),
            f"{period['cpu_share']:.2%}",
            *(f"{period[name]:.1f}" for name in ("resident_mb", "unique_mb", "shared_mb")),
        ]
        print(line((cell, width) for cell, (_, width) in zip(cells, _HEAD, strict=True)), flush=True)
