"""Hot swaps under way at the real rate: bins lost, the tail of the latency, memory.

``python benchmarks/swaps.py BUNDLE OTHER RECORDING [--swaps N --every S --settle S --json FILE]`` plays a recording
round and round from a rig process into a worker process, and swaps back and forth between two bundles that fit it.
Times are of the flight recorder: from the stamp of a bin to its publication, and from the moment it was in hand. A
bin is counted as during a swap if it ended within a second of the swap's being asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from bmi_decoder.commands.options import write_json
from bmi_decoder.config import SessionSettings, StreamSettings, WorkerSettings
from bmi_decoder.errors import BmiError
from services.ingest.lsl import configure_lsl
from services.processes import Child, running
from services.worker.command import Command, SwapCommand
from services.worker.flight.reader import FlightReader

_START_S = 60.0
_BINS_BEFORE = 1000


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    bundles = options.bundle.resolve(), options.other.resolve()
    stream = f"swaps-{os.getpid()}"
    flight, commands, settings = folder / "flight", folder / "commands", folder / "settings.json"
    session = SessionSettings(name="swaps", stream=StreamSettings(name=stream), decoder="swaps")
    worker_settings = WorkerSettings(
        session=session,
        bundle=str(bundles[0]),
        flight=str(flight),
        commands=str(commands),
        settle_s=options.settle,
    )
    settings.write_text(worker_settings.model_dump_json())
    rig_arguments = ["-m", "bmi_decoder.cli", "rig", str(options.recording), "--stream", stream, "--loop"]
    with (
        running("worker", ["-m", "services.worker", str(settings)], folder) as worker,
        running("rig", rig_arguments, folder) as rig,
    ):
        reader = _decoding(flight, [worker, rig])
        process = psutil.Process(worker.process.pid)
        times, memory, records = [], [process.memory_info().rss], {}
        for k in range(options.swaps):
            began = time.monotonic()
            _swap(commands, k + 2, bundles[(k + 1) % 2])
            times.append((began, time.monotonic()))
            memory.append(process.memory_info().rss)
            time.sleep(max(0.0, began + options.every - time.monotonic()))
            for record in reader.records():
                records[int(record["sequence"])] = [record[name] for name in ("t_source", "t_pulled", "t_publish")]
        status = reader.status()
    moments = np.array([records[sequence] for sequence in sorted(records)], np.float64)
    during = np.zeros(len(moments), bool)
    for began, _ in times:
        during |= (moments[:, 0] >= began) & (moments[:, 0] < began + 1)
    return {
        "swaps": len(times),
        "swap_s": round(float(np.median([ended - began for began, ended in times])), 3),
        "bins_decoded": status.bins_decoded,
        "bins_lost": status.bins_lost,
        "bins_duplicated": status.bins_duplicated,
        "sequence_holes": int(max(records) - min(records) + 1 - len(records)),
        "resident_mb": {
            "before": memory[0] >> 20,
            "half-way": memory[len(memory) // 2] >> 20,
            "after": memory[-1] >> 20,
        },
        "source_to_publish_us": _both(moments[:, 2] - moments[:, 0], during),
        "in_hand_to_publish_us": _both(moments[:, 2] - moments[:, 1], during),
        "load_average": os.getloadavg(),
    }


def _both(seconds: npt.NDArray[np.float64], during: npt.NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    parts = {"during": seconds[during], "outside": seconds[~during]}
    return {
        name: {
            f"p{percent:g}": round(float(np.percentile(part * 1e6, percent)), 1) for percent in (50, 90, 99, 99.9, 100)
        }
        for name, part in parts.items()
        if part.size
    }


def _swap(path: Path, revision: int, bundle: Path) -> None:
    command = Command(swap=SwapCommand(revision=revision, bundle=str(bundle)))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(command.model_dump_json(exclude_none=True).encode() + b"\n")
        with connection.makefile() as lines:
            answer = json.loads(lines.readline())
    if answer["outcome"] != "switched":
        raise BmiError(f"the swap to {bundle} failed: {answer['reason']}")


def _decoding(flight: Path, children: list[Child]) -> FlightReader:
    """Wait for a worker that decodes."""
    deadline = time.monotonic() + _START_S
    reader = None
    while reader is None or reader.status().bins_decoded < _BINS_BEFORE:
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            raise BmiError(f"no {_BINS_BEFORE} bins within {_START_S:g} s: {children[0].last_words()}")
        time.sleep(0.1)
        reader = reader or FlightReader.opened(flight)
    return reader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--swaps", type=int, default=20, metavar="N")
    parser.add_argument("--every", type=float, default=3.0, metavar="S", help="seconds from swap to swap, at least")
    parser.add_argument("--settle", type=float, default=1.0, metavar="S", help="seconds in shadow, at least")
    parser.add_argument("--json", default="-", metavar="FILE", help="default: standard output")
    options = parser.parse_args()
    configure_lsl("loopback")
    with tempfile.TemporaryDirectory(prefix="bmi-swaps-") as folder:
        write_json(options.json, run(options, Path(folder)))


if __name__ == "__main__":
    main()
