"""``bmi-decoder bench``: measurements that anyone can repeat, on their own machine."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

_BENCHES = ("latency", "sessions", "decoders", "filters", "machine")


def register(subparsers: Any) -> None:
    """Add the sub-command and its own."""
    parser = subparsers.add_parser("bench", help="measure latency and speed on this machine, against references")
    benches = parser.add_subparsers(dest="bench", required=True, metavar="BENCH")
    for name in _BENCHES:
        importlib.import_module(f"services.bench.{name}.command").register(benches)
    parser.set_defaults(run=_no_bench)


def _no_bench(options: argparse.Namespace) -> int:
    raise AssertionError("argparse asks for a bench")
