"""Control plane, worker and recorder killed in turn at random moments: what was acknowledged, what goes on, how soon.

``python -m benchmarks.kills [--kills N --seed N --json FILE]`` runs a simulated rig, a control plane, a session that is
recorded, and a thread that changes settings over REST without a pause, swaps of the running session among them. Again
and again one process gets SIGKILL at a random moment. Behind each: how long until all is well again (a control plane is
started again at once, as systemd would); whether REST shows what it had acknowledged; whether any estimate is missing,
where the worker itself was not killed; and what a killed recorder lost of what was published. At the end, whether
anything is left behind. It ends with status 1 where something was lost.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.live_system import LiveSystem, until
from bmi_decoder.client import ControlClient, ControlError
from bmi_decoder.commands.options import say, write_json
from bmi_decoder.errors import BmiError
from bmi_decoder.recorded_session import read_session
from bmi_decoder.subscriber import Subscriber
from bmi_decoder.wire import Estimate
from services.bench.columns import line
from services.demo.bundle import demo_bundle
from services.ingest.lsl import configure_lsl
from services.processes import ended_by_signals

_RANDOM_S = 2.0
_POLL_S = 0.02
_TARGETS = ("control", "worker", "recorder")
_BAR_S = 3.0


@dataclass
class Kill:
    """One kill, and what came of it."""

    target: str
    recovered_s: float
    pause_s: float
    estimates_lost: int
    recording_lost_s: float | None
    wrong: list[str]


class Listener(threading.Thread):
    """Receives every estimate of the session, through all its workers."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(daemon=True)
        self._subscriber = Subscriber(endpoint)
        self.received: list[tuple[float, int]] = []
        self.stop = False

    def run(self) -> None:
        """Receive until stopped."""
        with self._subscriber:
            while not self.stop:
                message = self._subscriber.receive(0.2)
                if isinstance(message, Estimate):
                    self.received.append((message.t_publish, message.sequence))

    @property
    def lost(self) -> int:
        """Estimates of the same worker that did not come."""
        return self._subscriber.lost

    def longest_pause(self, since: float) -> float:
        """Longest time between two estimates."""
        times = [t for t, _ in self.received if t >= since - 0.5]
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)


class Changes(threading.Thread):
    """Changes settings over REST without a pause, and knows what was acknowledged.

    Each thing that is changed has a set of values that it may have: one where the last change was answered, two where
    the answer did not come.
    """

    def __init__(self, url: str, names: tuple[str, str]) -> None:
        super().__init__(daemon=True)
        self._client, (self._live, self._resting) = ControlClient(url), names
        self.may_be: dict[str, set[Any]] = {}
        self._unsure = False
        self.answered = self.unanswered = 0
        self.turn = threading.Lock()
        self.stop = False

    def run(self) -> None:
        """Change until stopped; behind a change without an answer wait until somebody has looked."""
        number = 0
        while not self.stop:
            time.sleep(_POLL_S)
            with self.turn:
                if self._unsure:
                    continue
                number += 1
                self._change("gap", number / 1000, lambda value: self._patch(self._resting, max_gap_s=value))
                self._change("made", number % 2 == 1, self._make)
                if number % 10 == 0:
                    self._change("cutoff", 6.0 + number % 7, self._filter)

    def check(self, client: ControlClient) -> list[str]:
        """What is not as it was acknowledged; from now on it is taken as it is."""
        found = self.look(client)
        wrong = [
            f"{key} is {found[key]!r}, not in {may!r}" for key, may in self.may_be.items() if found[key] not in may
        ]
        self.may_be = {key: {value} for key, value in found.items()}
        self._unsure = False
        return wrong

    def look(self, client: ControlClient) -> dict[str, Any]:
        """All that is changed here, or must not change, as REST has it."""
        live, resting = client.session(self._live), client.session(self._resting)
        names = {session.name for session in client.sessions()}
        filters = live.settings.output_filters
        low_latency = None if filters is None else filters.low_latency
        used = [one.revision for one in client.revisions(self._live) if one.state == "used"]
        return {
            "gap": resting.settings.max_gap_s,
            "made": "made" in names,
            "cutoff": getattr(low_latency, "cutoff_hz", None),
            "revision": live.revision in used,
            "names": frozenset(names - {"made"}),
            "states": (live.wanted, resting.wanted, resting.state),
            "decoders": frozenset(one.id for one in client.decoders()),
            "recordings": frozenset(one.id for one in client.recordings()),
        }

    def _change(self, key: str, value: Any, ask: Callable[[Any], Any]) -> None:
        before = self.may_be[key]
        if self._unsure:
            return
        self.may_be[key] = before | {value}
        try:
            ask(value)
            self.may_be[key] = {value}
            self.answered += 1
        except ControlError as error:
            if error.status is not None and error.status < 500:
                self.may_be[key] = before
            else:
                self._unsure = True
                self.unanswered += 1

    def _patch(self, name: str, **change: Any) -> None:
        self._client.change_session(name, **change)

    def _filter(self, cutoff_hz: float) -> None:
        filters = {"low_latency": {"order": 2, "cutoff_hz": cutoff_hz, "width": 24}}
        self._patch(self._live, output_filters=filters)

    def _make(self, wanted: bool) -> None:
        if wanted:
            decoder = self._client.session(self._live).decoder
            self._client.create_session("made", "nothing", decoder)
        else:
            self._client.delete_session("made")


def run(kills: int, seed: int, folder: Path) -> dict[str, Any]:
    rng, rig = random.Random(seed), LiveSystem(folder, ["simulated"], [demo_bundle()])
    try:
        rig.client.create_session("resting", rig.stream, rig.decoders[0])
        rig.client.record_session("live")
        listener = Listener(rig.endpoint)
        changes = Changes(f"http://127.0.0.1:{rig.port}", ("live", "resting"))
        changes.check(rig.client)
        listener.start()
        changes.start()
        done = [_kill(_TARGETS[k % 3], rig, listener, changes, rng) for k in range(kills)]
        changes.stop = listener.stop = True
        for thread in (changes, listener):
            thread.join(60.0)
        left = rig.left_behind()
    finally:
        rig.end()
    return {
        "seed": seed,
        "kills": done,
        "changes": {"answered": changes.answered, "unanswered": changes.unanswered},
        "left_behind": left,
        "load_average": os.getloadavg(),
    }


def _kill(target: str, rig: LiveSystem, listener: Listener, changes: Changes, rng: random.Random) -> Kill:
    until(lambda: rig.decodes() and rig.records(), "all is well")
    time.sleep(rng.uniform(0.0, _RANDOM_S))
    lost, began = listener.lost, time.monotonic()
    recording_lost = None
    match target:
        case "control":
            rig.kill_control()
            until(rig.decodes, "the control plane shows the session")
        case "worker":
            rig.kill_worker()
            until(rig.decodes, "the session decodes again")
        case "recorder":
            killed_at = rig.kill_recorder()
            until(lambda: _ended(rig.client), "the recorder has ended")
            with changes.turn:
                before = changes.may_be["recordings"]
                path = rig.stored()
                changes.may_be["recordings"] = {frozenset(one.id for one in rig.client.recordings())}
            published = max(t for t, _ in listener.received if t < killed_at)
            recording_lost = published - float(read_session(path).estimates["t_publish"][-1])
            began = time.monotonic()
            rig.client.record_session("live")
            assert all(one < next(iter(changes.may_be["recordings"])) for one in before)
    recovered = time.monotonic() - began
    with changes.turn:
        wrong = changes.check(rig.client)
    missing = listener.lost - lost
    if missing:
        wrong.append(f"{missing} estimates are missing")
    if recording_lost is not None and recording_lost > 1:
        wrong.append(f"the recorder lost {recording_lost:.2f} s")
    return Kill(target, recovered, listener.longest_pause(began), missing, recording_lost, wrong)


def _ended(client: ControlClient) -> bool:
    recorder = client.recorder("live")
    return recorder is not None and recorder.state == "ended"


_COLUMNS = (
    ("killed", 9), ("times", 5), ("well again: median s", 20), ("longest s", 9), ("over 3 s", 8),
    ("longest pause s", 15), ("estimates missing", 17), ("recording lost s", 16), ("wrong", 5),
)  # fmt: skip


def _table(kills: list[Kill]) -> str:
    rows = [line(_COLUMNS)]
    for target in _TARGETS:
        of = [one for one in kills if one.target == target]
        if not of:
            continue
        times = sorted(one.recovered_s for one in of)
        lost = [one.recording_lost_s for one in of if one.recording_lost_s is not None]
        cells = (
            target,
            str(len(of)),
            f"{times[len(times) // 2]:.2f}",
            f"{times[-1]:.2f}",
            str(sum(t > _BAR_S for t in times)),
            f"{max(one.pause_s for one in of):.3f}",
            str(sum(one.estimates_lost for one in of)),
            f"{max(lost):.2f}" if lost else "-",
            str(sum(bool(one.wrong) for one in of)),
        )
        rows.append(line(zip(cells, (width for _, width in _COLUMNS), strict=True)))
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, metavar="N")
    parser.add_argument("--seed", type=int, metavar="N", help="of the random moments (default: another one each time)")
    parser.add_argument("--json", metavar="FILE", help="write one JSON object; '-' is standard output")
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    say(f"seed {seed}")
    configure_lsl("loopback")
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="bmi-kills-") as folder:
        try:
            result = run(options.kills, seed, Path(folder))
        except BmiError as error:
            say(str(error))
            return 1
    kills: list[Kill] = result["kills"]
    wrong = [f"kill {k}, of {one.target}: {text}" for k, one in enumerate(kills) for text in one.wrong]
    wrong += [f"left behind: {one}" for one in result["left_behind"]]
    print(_table(kills), file=sys.stderr if options.json == "-" else sys.stdout)
    for text in wrong:
        say(text)
    if options.json:
        write_json(options.json, result | {"kills": [asdict(one) for one in kills]})
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
