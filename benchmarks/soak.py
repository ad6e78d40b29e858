"""Half an hour in the life of a session, with everything that may happen to it, at random: whether anything is lost.

``python -m benchmarks.soak [--seconds S --seed N --picture FILE --json FILE]`` plays 1,000 samples a second of 96
channels from a rig process over LSL into a session, and receives its estimates in a third process. Meanwhile decoders
and filters are swapped, recordings made and read, subscribers come and go, and now and then something is broken: rig,
worker, recorder or control plane killed, rig or worker stopped for a while, processors taken. Every sample is accounted
for. It ends with status 1 if one is missing, or doubled, that no fault explains; if one is missing and nothing that was
published tells so, or a worker has counted another number of them; if decoding did not go on in time after a fault; if
a recording lacks something; if the worker's memory grows; or if anything is left behind.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.live_system import LiveSystem, until
from benchmarks.soak_account import Account, Fault, account
from benchmarks.soak_picture import draw
from benchmarks.soak_told import WorkerLife
from bmi_decoder.bundle import write_bundle
from bmi_decoder.client import ControlError, Subscriber
from bmi_decoder.clock import lsl_clock
from bmi_decoder.commands.options import say, write_json
from bmi_decoder.errors import BmiError
from bmi_decoder.formats import write_npz
from bmi_decoder.recorded_session import read_session
from bmi_decoder.recording import Output, Recording
from bmi_decoder.wire import HEALTH, Health
from services.bench.host import host
from services.bench.untrained import untrained_bundle
from services.ingest.lsl import configure_lsl
from services.processes import Child, ended_by_signals
from services.rowlog import RowLogReader

RATE_HZ, N_CHANNELS = 1000.0, 96
_VARIANTS, _OUTPUTS = 3, 2
_PLAYED_S = 20.0
_RESUMES_S, _RESTARTS_S = 1.0, 3.0
_SETTLED_S = 60.0
"""The memory of a worker that lives longer is judged: queues have been full once, and every page was touched."""

_GROWTH_MB = 4.0
"""Swaps and subscribers cost nearly 3 MB once, which the allocator keeps: ten swaps as much as eighty."""

_DECODERS = ("lstm", "gru")
_PERCENTILES = (("p50", 50), ("p99", 99), ("p99.9", 99.9), ("max", 100))
_CUTOFFS_HZ = (4.0, 6.25, 9.0, 12.0)


class Soak:
    """The system, what was done to it, and what it did.

    Parameters
    ----------
    system : LiveSystem
    rng : random.Random
    """

    def __init__(self, system: LiveSystem, rng: random.Random) -> None:
        self._system, self._rng, self._client = system, rng, system.client
        self.done: collections.Counter[str] = collections.Counter()
        self.faults: list[Fault] = []
        self.trouble: list[str] = []
        self.memory: list[tuple[float, float, float]] = []
        self._recorded_from = 0.0
        log = system.folder / "received"
        self.listener = Child(
            "listener",
            ["-m", "services.listener", system.endpoint, str(log), str(_VARIANTS), str(_OUTPUTS)],
            system.folder,
        )
        self.listener.next_line()
        self._pushes, self._receptions = [RowLogReader(system.folder / "pushes0")], RowLogReader(log)
        self._pushed, self._received = [np.empty((0, 2))], [self._receptions.new_rows()]
        self._health = Subscriber(system.endpoint, topics=(HEALTH,))
        self._connected: list[float] = []
        self._lost_before = self._client.session("live").bins_lost
        self._lost: dict[int, int] = {}

    def run(self, seconds: float) -> None:
        """Do one thing after the other."""
        quiet = [self.swap, self.filter, self.roll_back, self.record, self.subscribe]
        faults = [
            self.kill_rig, self.stop_rig, self.kill_worker, self.stop_worker, self.kill_control, self.kill_recorder,
            self.take_processors,
        ]  # fmt: skip
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.rest(self._rng.uniform(1.0, 5.0))
            what = self._rng.choice(faults if self._rng.random() < 0.25 else quiet)
            self.done[what.__name__] += 1
            try:
                what()
            except ControlError as error:
                self.trouble.append(f"{what.__name__}: {error}")
            until(self._system.decodes, f"the session decodes behind {what.__name__}")
        self._end_recording()
        self.rest(2.0)

    def rest(self, seconds: float) -> None:
        """Let it run, and look at it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.2)
            self._look()

    def swap(self) -> None:
        """Swap to another decoder."""
        self._client.change_session("live", decoder=self._rng.choice(self._system.decoders))

    def filter(self) -> None:
        """Change the filters that estimates go through."""
        one = {"order": 2, "cutoff_hz": self._rng.choice(_CUTOFFS_HZ), "width": 32}
        self._client.change_session("live", output_filters={"low_latency": one, "high_accuracy": one})

    def roll_back(self) -> None:
        """Return to what was decoded with before."""
        if self._client.session("live").revision > 1:
            self._client.roll_back_session("live")

    def record(self) -> None:
        """Begin a recording, or end it and look whether everything is in it."""
        if self._client.recorder("live") is None:
            self._client.record_session("live")
            until(self._system.records, "the session is recorded")
            self._recorded_from = lsl_clock()
        else:
            self._end_recording()

    def subscribe(self) -> None:
        """Some subscribers for a while, one of whom never reads."""
        with contextlib.ExitStack() as stack:
            others = [stack.enter_context(Subscriber(self._system.endpoint)) for _ in range(self._rng.randint(2, 10))]
            self.rest(self._rng.uniform(0.5, 3.0))
            for one in others[1:]:
                one.receive(1.0)

    def kill_rig(self) -> None:
        """And start it again at once, as another process of the same source."""
        began = lsl_clock()
        self._system.rig.process.kill()
        self._system.rig.stop()
        log = self._system.folder / f"pushes{len(self._pushes)}"
        self.faults.append(Fault("rig killed", began, math.nan, _RESUMES_S))
        self._system.new_rig("--no-wait", "--push-log", str(log))
        until(log.exists, "the rig is back")
        self._pushes.append(RowLogReader(log))

    def stop_rig(self) -> None:
        """It pushes everything later, at once."""
        self._suspend("rig", self._system.rig.process.pid)

    def kill_worker(self) -> None:
        """The control plane starts another one."""
        self._look()
        began = lsl_clock()
        self.faults.append(Fault("worker killed", began, self._system.kill_worker(), _RESTARTS_S))

    def stop_worker(self) -> None:
        """What its inlet does not hold is a gap."""
        pid = self._client.session("live").pid
        assert pid is not None
        self._suspend("worker", pid)

    def kill_control(self) -> None:
        """Nothing may be lost."""
        self._system.kill_control()
        until(self._system.decodes, "the control plane is back")

    def kill_recorder(self) -> None:
        """Its file must be readable, and nothing may be lost of the estimates."""
        if self._client.recorder("live") is None:
            self.record()
            self.rest(2.0)
        self._system.kill_recorder()
        until(lambda: (one := self._client.recorder("live")) is None or one.state == "ended", "the recorder has ended")
        self._end_recording(killed=True)

    def take_processors(self) -> None:
        """A process that never rests on each; nothing may be lost."""
        hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
        try:
            self.rest(self._rng.uniform(1.0, 4.0))
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()

    def close(self) -> Account:
        """End everything, and account for every sample."""
        self.rest(1.0)
        self.listener.stop()
        self._look()
        self._health.close()
        pushed, received = np.concatenate(self._pushed), np.concatenate(self._received)
        return account(pushed, received, self.faults, self._connected, 1 / RATE_HZ)

    @property
    def bins_lost(self) -> list[int]:
        """What each worker has counted since somebody listened."""
        first, *others = self._lost.values()
        return [first - self._lost_before, *others]

    def _suspend(self, what: str, pid: int) -> None:
        began, process = lsl_clock(), psutil.Process(pid)
        process.suspend()
        self.rest(self._rng.uniform(0.3, 2.0))
        process.resume()
        self.faults.append(Fault(f"{what} stopped", began, lsl_clock(), _RESUMES_S))

    def _end_recording(self, killed: bool = False) -> None:
        if self._client.recorder("live") is None:
            return
        ended = lsl_clock()
        recording = self._client.stop_recording("live").recording
        path = self._system.folder / "recorded.xdf"
        self._client.download_recording(recording.id, path)
        self._client.delete_recording(recording.id)
        try:
            session = read_session(path)
        except BmiError as error:
            self.trouble.append(f"a recording cannot be read: {error}")
            return
        lost = [event for _, event in session.log if event["event"] in ("dropped", "estimates_lost")]
        if lost:
            self.trouble.append(f"a recording lacks something: {lost[:3]}")
        # One whose recorder was killed ends there; a worker that was killed begins to count anew.
        if not killed and not any(fault.began > self._recorded_from for fault in self.faults):
            steps = np.diff(session.estimates["sequence"])
            if np.any(steps != 1) or session.estimates["t_publish"][-1] < ended - 1:
                self.trouble.append(f"a recording lacks estimates: {steps[steps != 1][:3].tolist()}")

    def _look(self) -> None:
        self._pushed += [reader.new_rows() for reader in self._pushes]
        self._received.append(self._receptions.new_rows())
        while (message := self._health.receive(0.0)) is not None:
            if isinstance(message, Health) and message.event["event"] == "connected":
                self._connected.append(message.event["at"])
        # While the control plane is down, or the worker, there is nothing to see.
        with contextlib.suppress(ControlError, psutil.NoSuchProcess):
            status = self._client.session("live")
            if status.pid is not None:
                self._lost[status.pid] = max(status.bins_lost, self._lost.get(status.pid, 0))
                self.memory.append((lsl_clock(), psutil.Process(status.pid).memory_info().rss / 1e6, status.pid))


def run(seconds: float, seed: int, folder: Path, picture: Path | None) -> dict[str, Any]:
    """Set up, soak, account."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.02, (round(_PLAYED_S * RATE_HZ), N_CHANNELS))
    outputs = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    played = folder / "played.npz"
    write_npz(Recording(counts, rng.standard_normal((len(counts), _OUTPUTS)), outputs, 1 / RATE_HZ), played)
    bundles = [folder / f"{decoder}.bmi" for decoder in _DECODERS]
    for decoder, path in zip(_DECODERS, bundles, strict=True):
        write_bundle(untrained_bundle(decoder, {"hidden": 64}, RATE_HZ, N_CHANNELS), path)
    system = LiveSystem(folder, [str(played), "--loop"], bundles, ["--push-log", str(folder / "pushes0")])
    soak = Soak(system, random.Random(seed))
    try:
        soak.run(seconds)
        found = soak.close()
        left = system.left_behind()
    finally:
        soak.listener.stop()
        system.end()
    memory = np.array(soak.memory)
    if picture is not None:
        draw(picture, found, soak.faults, memory)
    growth = _growth(memory)
    wrong = [*soak.trouble, *(f"left behind: {one}" for one in left)]
    wrong += [
        f"{fault.what}: decoding went on after {fault.recovered_s:.2f} s, not within {fault.bar_s:g} s"
        for fault in soak.faults
        if not fault.recovered_s < fault.bar_s
    ]
    if n := int(found.unexplained.sum()):
        at = found.pushed[found.unexplained, 1] - found.pushed[0, 1]
        wrong.append(f"{n} samples are missing that nothing explains, the first {at[0]:.1f} s behind the beginning")
    if found.told.untold:
        wrong.append(f"{found.told.untold} samples are missing, and nothing that was published tells so")
    missing, counted = [life.missing for life in found.told.lives], soak.bins_lost
    if len(missing) != len(counted) or not all(map(WorkerLife.agrees, found.told.lives, counted)):
        wrong.append(f"the workers counted {counted} bins as lost, and {missing} samples are missing")
    if found.doubled:
        wrong.append(f"{found.doubled} samples have two estimates")
    if growth > _GROWTH_MB:
        wrong.append(f"a worker's memory grew by {growth:.1f} MB")
    latency = found.latency_s[~found.missing & ~found.explained] * 1e3
    return {
        "seed": seed,
        "seconds": seconds,
        "host": host(),
        "done": dict(soak.done),
        "samples": len(found.pushed),
        "missing_explained": int((found.missing & found.explained).sum()),
        "missing_unexplained": int(found.unexplained.sum()),
        "missing_untold": found.told.untold,
        "workers": {"missing": missing, "counted": counted, "unseen": [life.unseen for life in found.told.lives]},
        "doubled": found.doubled,
        "latency_ms": {name: round(float(np.percentile(latency, q)), 3) for name, q in _PERCENTILES},
        "memory_growth_mb": round(growth, 2),
        "faults": [asdict(fault) for fault in soak.faults],
        "wrong": wrong,
    }


def _growth(memory: npt.NDArray[np.float64]) -> float:
    """Most that the memory of one worker grew by, from the second quarter of its life to the last."""
    most = 0.0
    for pid in np.unique(memory[:, 2]):
        of = memory[memory[:, 2] == pid]
        if of[-1, 0] - of[0, 0] > _SETTLED_S:
            quarters = np.array_split(of[:, 1], 4)
            most = max(most, float(np.median(quarters[3]) - np.median(quarters[1])))
    return most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1800.0, metavar="S")
    parser.add_argument("--seed", type=int, metavar="N", help="of everything random (default: another one each time)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw latency, memory and losses over time")
    parser.add_argument("--json", metavar="FILE", help="write one JSON object; '-' is standard output")
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    say(f"seed {seed}")
    configure_lsl("loopback")
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="bmi-soak-", dir=_shared_memory()) as folder:
        result = run(options.seconds, seed, Path(folder), options.picture)
    if options.json:
        write_json(options.json, result)
    latency = result["latency_ms"]
    say(
        f"{result['samples']} samples, {result['missing_explained']} lost to {len(result['faults'])} faults, "
        f"{result['missing_unexplained']} to nothing; p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms"
    )
    for text in result["wrong"]:
        say(f"WRONG: {text}")
    say("not passed" if result["wrong"] else "passed")
    return int(bool(result["wrong"]))


def _shared_memory() -> str | None:
    """Where logs and flight recorder cost no disk writes, if there is such a place."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
