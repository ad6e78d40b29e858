"""``bmi-decoder flight``: the last minute of a worker, living or dead."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from bmi_decoder.commands.options import add_json, check_output, say, write_json
from bmi_decoder.errors import BmiError, InputError


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "flight",
        help="read a worker's flight recorder: its last minute, also after it was killed",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="for example DATA_DIR/sessions/NAME/crash.flight")
    parser.add_argument("--out", type=Path, metavar="FILE.npz", help="write every bin's record here, as arrays")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print state, counters, latency by stage and what happened; write what was asked for."""
    # Only now: the help of a command should not wait for what the command needs.
    from services.worker.flight.reader import FlightReader
    from services.worker.flight_summary import summarise

    check_output(options.json)
    check_output(options.out)
    try:
        reader = FlightReader(options.file)
    except FileNotFoundError:
        raise InputError(
            f"{options.file} does not exist; a worker that died leaves sessions/NAME/crash.flight in the data "
            "directory of `bmi-decoder serve`"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {options.file}: {error.strerror}") from None
    try:
        status, records = reader.status().plain(), reader.records()
    finally:
        reader.close()
    # Ages are told in the clock of the machine's present boot, and say nothing of a file from another.
    del status["last_bin_age_s"], status["stream"]["for_s"]
    figures = summarise(records)
    if options.out is not None:
        try:
            with open(options.out, "wb") as file:
                fields: dict[str, Any] = {name: records[name] for name in records.dtype.names or ()}
                np.savez(file, **fields)
        except OSError as error:
            raise BmiError(f"cannot write {options.out}: {error.strerror}") from None
        say(f"{len(records)} records: {options.out}")
    if options.json != "-":
        _print(status, figures)
    write_json(options.json, {"status": status, **figures})
    return 0


def _print(status: dict[str, Any], figures: dict[str, Any]) -> None:
    endpoint = status["endpoint"] or "no endpoint"
    print(f"worker {status['pid']}: {status['state']}, revision {status['revision']}, {endpoint}")
    if status["message"]:
        print(f"  {status['message']}")
    counters = ("in", "decoded", "lost", "duplicated", "invalid")
    print("bins  " + ", ".join(f"{status[f'bins_{name}']} {name}" for name in counters))
    stream = status["stream"]
    troubles = ("gaps", "lates", "losses", "clock_jumps", "mismatches")
    print(f"stream  {stream['state']}; " + ", ".join(f"{stream[name]} {name.replace('_', ' ')}" for name in troubles))
    for state, indices in status["channels"].items():
        if indices:
            print(f"{state} channels  {', '.join(map(str, indices))}")
    for grant in status["realtime"]:
        if not grant["granted"]:
            print(f"not granted: {grant['option']} {grant['requested']}: {grant['why']}")
    if not figures["bins"]:
        print("no bin was published")
        return
    first, last = figures["sequence"]
    print(f"recorded  {figures['bins']} bins in {figures['seconds']:.1f} s, sequence numbers {first} to {last}")
    for revision in figures["revisions"][1:]:
        print(f"revision {revision['revision']} from {revision['from_sequence']}")
    for gap in figures["gaps"]:
        print(f"gap of {gap['bins']} bins at {gap['from_sequence']}")
    if figures["flags"]:
        print("flags  " + ", ".join(f"{n} {name}" for name, n in figures["flags"].items()))
    if "latency_us" in figures:
        _print_times(figures)


def _print_times(figures: dict[str, Any]) -> None:
    columns = figures["latency_us"]
    print(f"{'us':>8} " + " ".join(f"{name:>9}" for name in columns))
    for name, row in {**figures["stages_us"], "latency": columns}.items():
        print(f"{name:>8} " + " ".join(f"{value:9.1f}" for value in row.values()))
    print("slowest  " + "; ".join(f"{one['sequence']}: {_of_stages(one)}" for one in figures["slowest"]))


def _of_stages(one: dict[str, Any]) -> str:
    slowest = max(one["stages_us"], key=one["stages_us"].get)
    return f"{one['latency_us']:.0f} us ({slowest} {one['stages_us'][slowest]:.0f})"
