"""Feeds everything that reads what strangers wrote with bad input: ``python -m tests.fuzz``, or ``make fuzz``.

Each target runs in a process of its own with bounded memory. A crash, an input that takes too long or too much memory,
and any error but a clear refusal is a finding: the input is kept, and the exit status is 1. A crash in a reader that
users get in a process of its own is none if it is a clear refusal there. The same seed makes the same inputs;
``--case`` runs one of them again.
"""

from __future__ import annotations

import argparse
import json
import platform
import secrets
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fuzz.child import HEADROOM, PROGRESS, SLOW_S, keep, run_cases
from tests.fuzz.page import page
from tests.fuzz.target import Target, finding
from tests.fuzz.targets import COUNTS, build

_STARTS_S = 120.0


def main() -> int:
    """Run what the options say."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=None, help="of the inputs; left out, one is drawn")
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs of each target; 1 is 10^6 in all")
    parser.add_argument("--target", action="append", choices=list(COUNTS), help="only this one; may be repeated")
    parser.add_argument("--case", type=int, help="only the input of this number, of one target and seed")
    parser.add_argument("--kept", type=Path, default=Path("build/fuzz"), help="folder for inputs that are findings")
    parser.add_argument("--page", type=Path, help="write the figures here, as Markdown")
    parser.add_argument("--child", nargs=2, type=int, metavar=("FIRST", "LAST"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    seed = secrets.randbits(31) if options.seed is None else options.seed
    names = options.target or list(COUNTS)
    if options.case is not None:
        return _again(names[0], seed, options.case)
    if options.child is not None:
        with tempfile.TemporaryDirectory() as work:
            run_cases(build(names[0], Path(work)), seed, range(*options.child), options.kept)
        return 0
    options.kept.mkdir(parents=True, exist_ok=True)
    print(f"seed {seed}", flush=True)
    rows = {}
    for name in names:
        rows[name] = fuzz(name, seed, round(COUNTS[name] * options.share), options.kept)
        print(json.dumps({"target": name, **rows[name]}), flush=True)
    inputs, findings = (sum(row[key] for row in rows.values()) for key in ("inputs", "findings"))
    print(f"{inputs} inputs, {findings} findings")
    if options.page is not None:
        options.page.write_text(page(rows, seed, HEADROOM, SLOW_S, platform.python_version()))
    return int(any(row["findings"] for row in rows.values()))


def _again(name: str, seed: int, index: int) -> int:
    with tempfile.TemporaryDirectory() as work:
        target = build(name, Path(work))
        warnings.simplefilter("error")
        data = target.case(seed, index)
        print(f"{name}, seed {seed}, case {index}: {len(data)} bytes, {data[:80]!r} ...", flush=True)
        try:
            print(repr(target.attempt(data))[:400])
        except target.refusals as error:
            print(f"refused: {error}")
    return 0


def fuzz(name: str, seed: int, n_inputs: int, kept: Path) -> dict[str, Any]:
    """Run the inputs of one target, in as many processes as it kills and one more."""
    ways: Counter[str] = Counter()
    row: dict[str, Any] = {
        "inputs": 0,
        "accepted": 0,
        "refused": 0,
        "crashed": 0,
        "slowest_ms": 0.0,
        "slowest_case": 0,
        "grown_mb": 0,
    }
    began = time.monotonic()
    while row["inputs"] < n_inputs:
        with tempfile.TemporaryDirectory(dir=kept) as folder:
            status, done = _child(name, seed, row["inputs"], n_inputs, Path(folder))
            for file in Path(folder).glob(f"{name}-*"):
                file.replace(kept / file.name)
            figures = Path(folder) / "figures.json"
            if figures.exists():
                found = json.loads(figures.read_text())
                ways.update(found["ways"])
                row["grown_mb"] = max(row["grown_mb"], round(found["grown"] / 1e6))
        stopped, accepted, refused, slowest_s, slowest_case = done
        row["accepted"] += accepted
        row["refused"] += refused
        if slowest_s * 1e3 > row["slowest_ms"]:
            row.update(slowest_ms=round(slowest_s * 1e3, 1), slowest_case=slowest_case)
        row["inputs"] = stopped
        if status == 0:
            continue
        if stopped < 0 or (status is not None and status > 0):
            raise SystemExit(f"{name}: the fuzzer itself failed at case {stopped}; before the first, on a valid input")
        row["inputs"] += 1
        with tempfile.TemporaryDirectory() as work:
            target = build(name, Path(work))
            data = target.case(seed, stopped)
            wrong = _as_users_read_it(target, data, status)
        row["crashed"] += status is not None
        if wrong is None:
            row["refused"] += 1
        else:
            ways[wrong] += 1
            keep(kept, name, stopped, data, wrong)
    for way, times in ways.items():
        print(f"{name}: {times} times {way}", file=sys.stderr, flush=True)
    if ways:
        print(
            f"inputs are in {kept}; again: python -m tests.fuzz --seed {seed} --target {name} --case N", file=sys.stderr
        )
    row.update(seconds=round(time.monotonic() - began, 1), findings=sum(ways.values()))
    return row


def _as_users_read_it(target: Target, data: bytes, status: int | None) -> str | None:
    """What is wrong with an input on which a child ended, None if it ends nothing for those who use the reader."""
    if status is None:
        return "took too long"
    wrong = f"the process ended by signal {-status}"
    if not target.in_reader_process:
        return wrong
    taken, other = finding(target, data)
    return f"{wrong}, but not where users read it" if taken else other


def _child(name: str, seed: int, first: int, last: int, folder: Path) -> tuple[int | None, tuple[Any, ...]]:
    """Exit status of a process that runs these cases, None if it was stuck; and how far it came."""
    progress = folder / "progress"
    progress.write_bytes(PROGRESS.pack(-1, 0, 0, 0.0, first))
    arguments = ["--seed", str(seed), "--target", name, "--kept", str(folder), "--child", str(first), str(last)]
    process = subprocess.Popen([sys.executable, "-m", "tests.fuzz", *arguments])
    seen, moved = -1, time.monotonic()
    while True:
        try:
            status: int | None = process.wait(0.5)
            break
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            on = PROGRESS.unpack(progress.read_bytes())[0]
            if on != seen:
                seen, moved = on, now
            if now - moved > (SLOW_S if on >= 0 else _STARTS_S):
                process.kill()
                process.wait()
                status = None
                break
    return status, PROGRESS.unpack(progress.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
