"""The data directory: whether there is room, and whether a recorder can write as fast as a rig sends."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from services.certify.finding import Finding, judged
from services.certify.limits import Limits

_CHUNK = 1 << 20
_MOST_CHUNKS = 128
_MOST_S = 3.0


@dataclass(frozen=True)
class DiskFacts:
    """What writing there is like.

    Attributes
    ----------
    folder : Path
        The data directory, or the nearest folder above it that is there.
    free : int
        Bytes.
    write_mb_s : float
        Megabytes per second, each synchronised.
    slowest_ms : float
        The longest that one megabyte took.
    problem : str
        Why nothing can be written there; empty if it can.
    """

    folder: Path
    free: int = 0
    write_mb_s: float = 0.0
    slowest_ms: float = 0.0
    problem: str = ""


def disk_facts(data_dir: Path) -> DiskFacts:
    """Write up to 128 MB for up to three seconds into a file that vanishes."""
    folder = next(place for place in (data_dir.absolute(), *data_dir.absolute().parents) if place.exists())
    chunk, took = os.urandom(_CHUNK), list[float]()
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".certify-") as file:
            end = time.monotonic() + _MOST_S
            while len(took) < _MOST_CHUNKS and time.monotonic() < end:
                began = time.perf_counter()
                file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                took.append(time.perf_counter() - began)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return DiskFacts(folder, problem=error.strerror or str(error))
    return DiskFacts(folder, free, len(took) * _CHUNK / 1e6 / sum(took), max(took) * 1e3)


def check_disk(facts: DiskFacts, limits: Limits, bytes_per_s: float = 0.0) -> list[Finding]:
    """Judge it, for recordings of so many bytes per second."""
    if facts.problem:
        found = f"cannot write to {facts.folder}: {facts.problem}"
        remedy = "give this user the right to write there, free space, or choose another place with --data-dir"
        return [Finding("machine", "data directory", "fail", found, remedy)]
    needed = limits.free_gb + bytes_per_s * limits.recording_hours * 3600 / 1e9
    free = facts.free / 1e9
    hours = (
        f"; {limits.recording_hours:g} h of these streams are {needed - limits.free_gb:.1f} GB" if bytes_per_s else ""
    )
    space = judged(
        "machine",
        "disk space",
        f"{free:.1f} GB free in {facts.folder}{hours}",
        "fail" if free < needed else None,
        f"{needed:.1f} GB are needed: free space, or choose another disk with --data-dir",
        free_gb=free,
        needed_gb=needed,
    )
    wanted = max(limits.write_mb_s, 2 * bytes_per_s / 1e6)
    speed = judged(
        "machine",
        "disk writes",
        f"{facts.write_mb_s:.0f} MB/s synchronised, slowest megabyte {facts.slowest_ms:.0f} ms",
        "fail" if facts.write_mb_s < wanted else None,
        f"{wanted:.0f} MB/s are wanted: choose a local disk with --data-dir, or end what else writes to this one",
        write_mb_s=facts.write_mb_s,
        slowest_ms=facts.slowest_ms,
    )
    return [space, speed]
