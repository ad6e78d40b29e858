"""Runs cases of one target in this process, which has little memory and may die of any of them."""

from __future__ import annotations

import json
import mmap
import os
import resource
import struct
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from tests.fuzz.target import Target, finding

HEADROOM = 1 << 30
"""Bytes of address space that one input may take."""

SLOW_S = 10.0
"""Longest time for one input."""

_KEPT = 5
"""Inputs that are kept of each way to fail."""


def run_cases(target: Target, seed: int, cases: range, folder: Path) -> None:
    """Run cases; which one is on is always in ``progress``, and the figures of this process in ``figures.json``."""
    warnings.simplefilter("error")
    for data in target.valid:
        target.attempt(data)
    base = _status("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (base + HEADROOM,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resident = _status("VmRSS")
    ways: Counter[str] = Counter()
    accepted = refused = 0
    slowest, slowest_case = 0.0, cases.start
    with open(folder / "progress", "r+b") as file:
        progress = mmap.mmap(file.fileno(), 8)
    for index in cases:
        data = target.case(seed, index)
        struct.pack_into("<q", progress, 0, index)
        began = time.perf_counter()
        try:
            taken, wrong = finding(target, data)
        except Exception as error:
            taken, wrong = False, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        took = time.perf_counter() - began
        if took > slowest:
            slowest, slowest_case = took, index
        accepted, refused = accepted + taken, refused + (not taken)
        if wrong is not None:
            way = _way(wrong)
            ways[way] += 1
            if ways[way] <= _KEPT:
                keep(folder, target.name, index, data, wrong)
    figures = {
        "accepted": accepted, "refused": refused, "slowest_s": slowest, "slowest_case": slowest_case,
        "grown": _status("VmHWM") - resident, "ways": ways,
    }  # fmt: skip
    (folder / "figures.json").write_text(json.dumps(figures))


def keep(folder: Path, name: str, index: int, data: bytes, wrong: str) -> None:
    """Keep an input, and what is wrong with it."""
    (folder / f"{name}-{index}.bin").write_bytes(data)
    (folder / f"{name}-{index}.txt").write_text(wrong, errors="backslashreplace")


def _way(wrong: str) -> str:
    """Where it went wrong: the kind of error and the last line of our code."""
    places = [
        line.strip() for line in wrong.splitlines() if line.lstrip().startswith("File ") and "/tests/" not in line
    ]
    ours = [place for place in places if any(f"/{part}/" in place for part in ("bmi_decoder", "services", "filters"))]
    return f"{wrong.split(':', 1)[0]} {(ours or places or [''])[-1]}"


def _status(field: str) -> int:
    for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    raise KeyError(field)
