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

from bmi_decoder.formats import reader_process
from tests.fuzz.target import Target, finding

HEADROOM = 512 << 20
"""Bytes of address space that one input may take."""

SLOW_S = 10.0
"""Longest time for one input."""

PROGRESS = struct.Struct("<qqqdq")
"""The case that is on, how many were accepted and refused, and how long the slowest took and which it was."""

_KEPT = 5
"""Inputs that are kept of each way to fail."""


def run_cases(target: Target, seed: int, cases: range, folder: Path) -> None:
    """Run cases; ``progress`` always says how far this is, ``figures.json`` what was found and the memory it took."""
    warnings.simplefilter("error")
    reader_process.is_reader = target.in_reader_process
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
        progress = mmap.mmap(file.fileno(), PROGRESS.size)
    for index in cases:
        data = target.case(seed, index)
        PROGRESS.pack_into(progress, 0, index, accepted, refused, slowest, slowest_case)
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
            _write(folder, ways, resident)
    PROGRESS.pack_into(progress, 0, cases.stop, accepted, refused, slowest, slowest_case)
    _write(folder, ways, resident)


def keep(folder: Path, name: str, index: int, data: bytes, wrong: str) -> None:
    """Keep an input, and what is wrong with it."""
    (folder / f"{name}-{index}.bin").write_bytes(data)
    (folder / f"{name}-{index}.txt").write_text(wrong, errors="backslashreplace")


def _write(folder: Path, ways: Counter[str], resident: int) -> None:
    figures = {"ways": ways, "grown": _status("VmHWM") - resident}
    (folder / "figures.json").write_text(json.dumps(figures))


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
