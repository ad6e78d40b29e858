"""Minutes of traffic through a real worker: whether every bin arrives once and in order, and how late.

``python benchmarks/soak.py [--seconds S] [--bundle BUNDLE] [--json FILE]`` plays a simulated subject (the demo's, 96
channels, 250 bins/s) from a rig process over LSL into a worker process, and receives its estimates over ZeroMQ in a
third process. Latency is from the push to the reception. Everything stays on the loopback interface.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bmi_decoder.bundle import read_bundle
from bmi_decoder.commands.options import write_json
from bmi_decoder.config import SessionSettings, StreamSettings, WorkerSettings
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.formats import write_npz
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.simulation import SubjectSettings, provenance, simulate
from bmi_decoder.wire import Flag
from services.demo.bundle import LIVE_SEED, SUBJECT, demo_bundle
from services.ingest.lsl import configure_lsl
from services.listener import COLUMNS
from services.processes import Child, running
from services.rowlog import RowLogReader
from services.worker.flight.reader import FlightReader

T = TypeVar("T")

_FILLED = int(Flag.HELD | Flag.ZEROED)
_START_S = 30.0
_QUIET_S = 3.0


def run(bundle_path: Path, seconds: float, folder: Path) -> dict[str, Any]:
    """Play, receive, account."""
    bundle = read_bundle(bundle_path)
    pipeline = Pipeline(bundle)
    recording, flight = folder / "recording.npz", folder / "flight"
    subject = SubjectSettings(subject_seed=SUBJECT, seed=LIVE_SEED, bin_s=pipeline.bin_s)
    write_npz(simulate(subject, seconds), recording, provenance(subject, seconds))
    stream = f"soak-{os.getpid()}"
    session = SessionSettings(name="soak", stream=StreamSettings(name=stream), decoder="soak")
    settings = folder / "settings.json"
    settings.write_text(WorkerSettings(session=session, bundle=str(bundle_path), flight=str(flight)).model_dump_json())
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str | Path) -> Child:
            return stack.enter_context(running(name, [str(argument) for argument in arguments], folder))

        worker = start("worker", "-m", "services.worker", settings)
        recorder = _eventually(worker, lambda: _opened(FlightReader, flight))
        _eventually(worker, lambda: recorder.status().endpoint or None)
        estimates_log, pushes_log = folder / "estimates", folder / "pushes"
        shape = [str(size) for size in pipeline.shape]
        listener = start("listener", "-m", "services.listener", recorder.status().endpoint, estimates_log, *shape)
        listener.next_line()
        rig = start("rig", "-m", "bmi_decoder.cli", "rig", recording, "--stream", stream, "--push-log", pushes_log)
        pushes, estimates = _follow(
            rig,
            _eventually(rig, lambda: _opened(RowLogReader, pushes_log)),
            RowLogReader(estimates_log),
            [worker, listener],
        )
        status, latency = recorder.status(), recorder.latency_us()
    return {
        "seconds": seconds,
        "channels": pipeline.n_channels,
        "bins_per_s": round(1 / pipeline.bin_s, 3),
        "decoder": bundle.manifest.decoder,
        **account(pushes, estimates, pipeline.bin_s),
        "worker": {
            "bins_in": status.bins_in,
            "bins_decoded": status.bins_decoded,
            "bins_lost": status.bins_lost,
            "bins_duplicated": status.bins_duplicated,
            "last_minute_source_to_publish_us": None
            if latency is None
            else {name: round(value, 1) for name, value in latency.items()},
        },
        "machine": {
            "cores": os.cpu_count(),
            "load_average": [round(value, 2) for value in os.getloadavg()],
            "python": platform.python_version(),
            "system": platform.platform(),
        },
    }


def account(pushes: npt.NDArray[np.float64], estimates: npt.NDArray[np.float64], bin_s: float) -> dict[str, Any]:
    """Hold what was received against what was pushed.

    Parameters
    ----------
    pushes : array (n, 2)
        Stamp and moment of each push.
    estimates : array (m, columns)
        Rows of the listener, in the order in which they came.
    """
    column = {name: estimates[:, i] for i, name in enumerate(COLUMNS)}
    real = (column["flags"].astype(int) & _FILLED) == 0
    bins = np.rint((column["t_source"] - pushes[0, 0]) / bin_s).astype(int)
    known = real & (bins >= 0) & (bins < len(pushes))
    latency = (column["t_receive"][known] - pushes[bins[known], 1]) * 1e6
    steps = np.diff(column["sequence"])
    return {
        "bins_pushed": len(pushes),
        "bins_received": len(np.unique(bins[known])),
        "bins_lost": len(pushes) - len(np.unique(bins[known])),
        "bins_duplicated": len(bins) - len(np.unique(bins)),
        "bins_reordered": int((steps < 0).sum() + (np.diff(bins) < 0).sum()),
        "sequence_holes": int((steps > 1).sum()),
        "first_sequence": int(column["sequence"][0]),
        "latency_us": {
            name: round(float(np.percentile(latency, percent)), 1)
            for name, percent in (("p50", 50), ("p99", 99), ("p99.9", 99.9), ("max", 100))
        },
    }


def _follow(
    rig: Child, pushes: RowLogReader, estimates: RowLogReader, others: list[Child]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Read both logs until the rig has ended and nothing more comes."""
    pushed, received = [pushes.new_rows()], [estimates.new_rows()]
    quiet_since = time.monotonic()
    while rig.process.poll() is None or time.monotonic() - quiet_since < _QUIET_S:
        time.sleep(0.5)
        for child in others:
            child.check()
        pushed.append(pushes.new_rows())
        received.append(estimates.new_rows())
        if len(pushed[-1]) or len(received[-1]):
            quiet_since = time.monotonic()
    return np.concatenate(pushed), np.concatenate(received)


def _opened(reader: Callable[[Path], T], path: Path) -> T | None:
    try:
        return reader(path)
    except (FileNotFoundError, InputError):
        return None


def _eventually(child: Child, get: Callable[[], T | None]) -> T:
    """Poll until there is something, as long as a child lives."""
    deadline = time.monotonic() + _START_S
    while (found := get()) is None:
        child.check()
        if time.monotonic() > deadline:
            raise BmiError(f"{child.name} did not come up within {_START_S:g} s: {child.last_words()}")
        time.sleep(0.02)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, metavar="S")
    parser.add_argument("--bundle", type=Path, default=demo_bundle(), help="default: the demo's decoder")
    parser.add_argument("--json", default="-", metavar="FILE", help="default: standard output")
    options = parser.parse_args()
    configure_lsl("loopback")
    with tempfile.TemporaryDirectory(prefix="bmi-decoder-soak-", dir=_shared_memory()) as folder:
        write_json(options.json, run(options.bundle.resolve(), options.seconds, Path(folder)))


def _shared_memory() -> str | None:
    """Where logs and flight recorder cost no disk writes, if there is such a place."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    main()
