"""From the spawn of a worker process to its first estimate, and what it then holds of the memory.

``python benchmarks/startup.py [--decoder NAME] [--workers N] [--runs N] [--json FILE]`` starts workers on a stream of
96 channels that already flows at 250 Hz, on the loopback interface. All moments are on one clock, and the end is the
publication of bin 0 as the flight recorder has it. Before the first run one worker is started and thrown away, so that
the streaming machine is compiled and the files are in the page cache.

Memory is what ``/proc/PID/smaps_rollup`` says a second later: resident; proportional, where a page that several
processes share counts as its share in each; and what the process alone holds. With ``--workers`` several workers run at
once, as on a machine of many sessions.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bmi_decoder.bundle import Bundle
from bmi_decoder.clock import lsl_clock
from bmi_decoder.commands.options import write_json
from bmi_decoder.errors import BmiError
from services.bench.latency.lanes import Lane, worker_lane
from services.bench.untrained import untrained_bundle
from services.ingest.lsl import configure_lsl
from services.processes import running
from services.worker.flight.reader import FlightReader

N_CHANNELS, RATE_HZ = 96, 250.0
HYPER_PARAMETERS: dict[str, dict[str, Any]] = {"lstm": {"hidden": 128}}
_DEADLINE_S = 120.0
_LOOK_S = 0.0005
_SETTLED_S = 1.0
_MEMORY = {
    "resident_mb": ("Rss",),
    "proportional_mb": ("Pss",),
    "alone_mb": ("Private_Clean", "Private_Dirty"),
}


@dataclass
class Start:
    """One worker's start, in seconds since its spawn."""

    flight: float
    """Modules imported and bundle loaded: the flight recorder is there."""
    searching: float
    """Endpoint bound, looking for the stream."""
    running: float
    """Connected to the stream."""
    first_bin: float
    """Bin 0 published."""
    memory: dict[str, float]


def run(decoder: str, n_workers: int, n_runs: int, folder: Path) -> dict[str, Any]:
    """Start `n_workers` at once, `n_runs` times, and once before for nothing."""
    stream = f"startup-{os.getpid()}"
    bundle = untrained_bundle(decoder, HYPER_PARAMETERS.get(decoder, {}), RATE_HZ, N_CHANNELS)
    source_arguments = [folder / "pushes", N_CHANNELS, RATE_HZ, stream]
    arguments = ["-m", "services.bench.latency.source", *map(str, source_arguments)]
    starts: list[list[Start]] = []
    with running("source", arguments, folder) as source:
        source.next_line()
        # More than all runs need: the source ends with this program.
        source.tell(f"0 {round(3600 * RATE_HZ)}")
        for number in range(n_runs + 1):
            lanes = [_lane(f"run-{number}-{k}", stream, bundle, folder) for k in range(n_workers)]
            starts.append(_start(lanes, folder))
    return {
        "decoder": decoder,
        "channels": N_CHANNELS,
        "bins_per_s": RATE_HZ,
        "workers": n_workers,
        "runs": n_runs,
        "seconds_from_spawn": {
            moment: _spread([getattr(start, moment) for starts_of_run in starts[1:] for start in starts_of_run])
            for moment in ("flight", "searching", "running", "first_bin")
        },
        "memory_per_worker": {
            kind: round(median(start.memory[kind] for starts_of_run in starts[1:] for start in starts_of_run), 1)
            for kind in _MEMORY
        },
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def _lane(name: str, stream: str, bundle: Bundle, folder: Path) -> tuple[Lane, Path]:
    lane = worker_lane(name, stream, bundle, folder)
    assert lane.flight is not None
    # What the run before has left would be taken for the new worker's.
    lane.flight.unlink(missing_ok=True)
    return lane, lane.flight


def _start(lanes: Sequence[tuple[Lane, Path]], folder: Path) -> list[Start]:
    with contextlib.ExitStack() as stack:
        began, workers = [], []
        for lane, _ in lanes:
            began.append(lsl_clock())
            workers.append(stack.enter_context(running(lane.name, lane.arguments, folder)))
        moments: list[dict[str, float]] = [{} for _ in lanes]
        flights = [flight for _, flight in lanes]
        readers: list[FlightReader | None] = [None] * len(lanes)
        deadline = time.monotonic() + _DEADLINE_S
        while any(len(moment) < 4 for moment in moments):
            if time.monotonic() > deadline:
                raise BmiError(f"no first bin within {_DEADLINE_S:g} s: {[worker.last_words() for worker in workers]}")
            time.sleep(_LOOK_S)
            for k, worker in enumerate(workers):
                worker.check()
                reader = readers[k] = readers[k] or FlightReader.opened(flights[k])
                if reader is not None:
                    _look(reader, moments[k])
        time.sleep(_SETTLED_S)
        return [
            Start(**{name: at - since for name, at in moment.items()}, memory=_memory(worker.process.pid))
            for moment, since, worker in zip(moments, began, workers, strict=True)
        ]


def _look(reader: FlightReader, moment: dict[str, float]) -> None:
    now, status = lsl_clock(), reader.status()
    moment.setdefault("flight", now)
    if status.state in ("searching", "running"):
        moment.setdefault("searching", now)
    if status.state == "running":
        moment.setdefault("running", now)
    if "first_bin" not in moment and status.bins_decoded:
        moment["first_bin"] = float(reader.records()[0]["t_publish"])


def _memory(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: float(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return {kind: sum(kilobytes[field] for field in fields) * 1024 / 1e6 for kind, fields in _MEMORY.items()}


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(median(values), 3), "least": round(min(values), 3), "most": round(max(values), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decoder", default="lstm", metavar="NAME", help="default: lstm, with 128 units")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="at once")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument("--json", default="-", metavar="FILE", help="default: standard output")
    options = parser.parse_args()
    configure_lsl("loopback")
    with tempfile.TemporaryDirectory(prefix="bmi-decoder-startup-") as folder:
        write_json(options.json, run(options.decoder, options.workers, options.runs, Path(folder)))


if __name__ == "__main__":
    main()
