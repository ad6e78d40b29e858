"""A network between rig, decoder and subscriber: two hosts as network namespaces, which only root can make."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bmi_decoder.config import SessionSettings, StreamSettings, WorkerSettings
from bmi_decoder.wire import Flag
from services.processes import Child, running
from services.rowlog import RowLogReader
from services.worker.flight.reader import FlightReader
from tests.control.support import N_CHANNELS
from tests.faults.conftest import Report
from tests.faults.ledger import RESTARTS_S
from tests.faults.puppet import RATE_HZ, VALUES
from tests.faults.watched import PuppetRig
from tests.system.support import ROOT
from tests.waiting import eventually

_N_VARIANTS, _N_OUTPUTS = 2, 2
_FLAGGED = int(Flag.HELD | Flag.ZEROED | Flag.INVALID)
_CONFIGURATION = ROOT / "deploy" / "lsl" / "lab.cfg"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class LongCable:
    """See `tests.faults.cable`."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def delay(self, seconds: float) -> float:
        """Let every frame take so long from now on; returns when."""
        self._child.tell(repr(seconds))
        return float(self._child.next_line())


class Network:
    """The rig's host, the decoder's, and a third, each with a cable to a switch."""

    def __init__(self, folder: Path) -> None:
        self._folder, number = folder, os.getpid()
        self.switch, self.hosts = f"bmi{number}s", {name: f"bmi{number}{name}" for name in ("rig", "decoder", "other")}
        self.addresses = {name: f"10.213.7.{i + 1}" for i, name in enumerate(self.hosts)}

    def make(self) -> None:
        """Make namespaces and cables."""
        _ip("netns", "add", self.switch)
        _ip("-n", self.switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self.switch, "link", "set", "bridge", "up")
        for name, host in self.hosts.items():
            _ip("netns", "add", host)
            _ip("link", "add", "cable", "netns", host, "type", "veth", "peer", "name", name, "netns", self.switch)
            _ip("-n", host, "link", "set", "lo", "up")
            self._plug_in(name)

    def _plug_in(self, name: str) -> None:
        host = self.hosts[name]
        _ip("-n", self.switch, "link", "set", name, "master", "bridge", "up")
        _ip("-n", host, "addr", "add", f"{self.addresses[name]}/24", "dev", "cable")
        _ip("-n", host, "link", "set", "cable", "up")
        _ip("-n", host, "route", "add", "default", "dev", "cable")

    @contextlib.contextmanager
    def long_cable(self, name: str) -> Iterator[LongCable]:
        """In the place of a host's cable one that can delay what it carries."""
        host = self.hosts[name]
        _ip("-n", self.switch, "link", "del", name)
        _ip("-n", host, "tuntap", "add", "cable", "mode", "tap")
        _ip("-n", self.switch, "tuntap", "add", name, "mode", "tap")
        with running("cable", ["-m", "tests.faults.cable", host, "cable", self.switch, name], self._folder) as child:
            child.next_line()
            self._plug_in(name)
            yield LongCable(child)

    def remove(self) -> None:
        """Remove all of it."""
        for host in (self.switch, *self.hosts.values()):
            subprocess.run(["ip", "netns", "del", host], check=False, capture_output=True)

    def cut(self, host: str, off: bool = True) -> float:
        """Let nothing through to a host or from it, or everything again; returns when.

        Not by its cable: the kernel takes up to a second to see that one is plugged in.
        """
        state = "0" if off else "3"  # disabled, forwarding
        subprocess.run(["bridge", "-n", self.switch, "link", "set", "dev", host, "state", state], check=True)
        return time.monotonic()

    @contextlib.contextmanager
    def running(self, host: str, name: str, *arguments: str | Path) -> Iterator[Child]:
        """A Python program on a host."""
        inside = ["ip", "netns", "exec", self.hosts[host], "env", f"LSLAPICFG={_CONFIGURATION}", sys.executable]
        with running(name, [*inside, *map(str, arguments)], self._folder, is_command=True) as child:
            yield child


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    network = Network(tmp_path)
    try:
        network.make()
        yield network
    finally:
        network.remove()


class Setup:
    """A worker on one host, and a subscriber on the rig's, so that every message crosses the network."""

    def __init__(self, flight: FlightReader, log: RowLogReader, epoch: float) -> None:
        self.flight, self._log, self._epoch = flight, log, epoch
        self._rows = [np.empty((0, 7 + _N_VARIANTS * (1 + _N_OUTPUTS)))]

    @property
    def rows(self) -> npt.NDArray[np.float64]:
        """What the subscriber has received: see `services.listener.COLUMNS`."""
        self._rows = [np.concatenate([*self._rows, self._log.new_rows()])]
        return self._rows[0]

    def wait(self, n: int) -> None:
        """Wait for so many more estimates."""
        before = len(self.rows)
        eventually(lambda: len(self.rows) >= before + n, bool)

    def decoded_after(self, moment: float) -> float:
        """How long behind a moment the worker published the first whole estimate."""
        found = eventually(
            lambda: [
                one["t_publish"]
                for one in self.flight.records()
                if one["t_publish"] > moment and not int(one["flags"]) & _FLAGGED
            ],
            bool,
        )
        return float(found[0] - moment)

    def ages(self) -> npt.NDArray[np.float64]:
        """How old samples were when they were published, by their stamps."""
        records = self.flight.records()
        ages: npt.NDArray[np.float64] = records["t_publish"] - records["t_source"]
        return ages

    def state_after(self, moment: float, *states: str) -> float:
        """How long behind a moment the worker says that its stream is in a state."""
        eventually(lambda: self.flight.status().stream.state, lambda state: state in states)
        return time.monotonic() - self.flight.status().stream.for_s - moment

    def lost(self, rig: PuppetRig) -> int:
        """Samples that a rig has pushed since the first estimate, up to the last, and that have none of their own."""
        records = self.flight.records()
        good = self._numbers(records["t_source"][(records["flags"].astype(int) & _FLAGGED) == 0])
        pushed = self._numbers(rig.pushed[:, 0])
        return int(np.setdiff1d(pushed[(pushed >= good[0]) & (pushed <= good[-1])], good).size)

    def _numbers(self, stamps: npt.NDArray[np.float64]) -> npt.NDArray[np.int_]:
        return np.rint((stamps - self._epoch) * RATE_HZ).astype(int)

    def check(self) -> None:
        """Every estimate that came is of the sample that its stamp names; what was dropped on the way is counted."""
        rows = self.rows
        good = rows[(rows[:, 4].astype(int) & _FLAGGED) == 0]
        values = self._numbers(good[:, 3]) % VALUES + 1
        np.testing.assert_array_equal(good[:, 7 + _N_VARIANTS], N_CHANNELS * values)
        steps = np.diff(rows[:, 1])
        assert np.all(steps >= 1) and (steps - 1).sum() == rows[-1, 6]


@pytest.fixture
def setup(network: Network, linear_bundle: Path, epoch: float, tmp_path: Path) -> Iterator[Setup]:
    stream = StreamSettings(name="across", search_timeout_s=None)
    session = SessionSettings(
        name="across",
        stream=stream,
        decoder="linear",
        endpoint=f"tcp://{network.addresses['decoder']}:5671",
        encryption="none",
    )
    flight, settings = tmp_path / "flight", tmp_path / "worker.json"
    settings.write_text(
        WorkerSettings(session=session, bundle=str(linear_bundle), flight=str(flight)).model_dump_json()
    )
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(network.running("decoder", "worker", "-m", "services.worker", settings))

        def published() -> FlightReader | None:
            worker.check()
            reader = FlightReader.opened(flight)
            return reader if reader is not None and reader.status().endpoint else None

        reader = eventually(published, lambda reader: reader is not None)
        assert reader is not None
        stack.callback(reader.close)
        log = tmp_path / "received"
        listener = stack.enter_context(
            network.running(
                "other", "listener", "-m", "services.listener", session.endpoint, log, str(_N_VARIANTS), str(_N_OUTPUTS)
            )
        )
        assert listener.next_line() == "connected"
        setup = Setup(reader, RowLogReader(log), epoch)
        yield setup
        setup.check()


@contextlib.contextmanager
def rig_on(network: Network, host: str, epoch: float, folder: Path, source_id: str = "rig") -> Iterator[PuppetRig]:
    """The puppet on a host."""
    log = folder / f"pushed-{host}"
    arguments = ["-m", "tests.faults.puppet", "across", source_id, str(N_CHANNELS), repr(epoch), log]
    with network.running(host, f"puppet-{host}", *arguments) as child:
        yield PuppetRig(child, log)


@pytest.mark.parametrize("seconds", [1.0, 2.5, 5.0])
def test_a_rig_that_is_cut_off(
    seconds: float, network: Network, setup: Setup, epoch: float, tmp_path: Path, report: Report
) -> None:
    with rig_on(network, "rig", epoch, tmp_path) as rig:
        setup.wait(500)
        out = network.cut("rig")
        detected = setup.state_after(out, "lost")
        eventually(time.monotonic, lambda now: now - out > seconds)
        back = network.cut("rig", off=False)
        recovered = setup.decoded_after(back)
        setup.wait(500)
        lost = setup.lost(rig)
    report(f"rig cut off from the network for {seconds:g} s", lost, recovered, (detected, "`lost`"))


@pytest.mark.parametrize(("seconds", "state"), [(0.02, ""), (0.15, "late"), (0.6, "lost")])
def test_a_network_that_becomes_slow(
    seconds: float, state: str, network: Network, setup: Setup, epoch: float, tmp_path: Path, report: Report
) -> None:
    """Every sample comes later, and is decoded with its own stamp."""
    with network.long_cable("rig") as cable, rig_on(network, "rig", epoch, tmp_path) as rig:
        setup.wait(500)
        before = setup.flight.status().stream
        slow = cable.delay(seconds)
        detected = (setup.state_after(slow, state), f"`{state}`") if state else None
        setup.wait(1000)
        # As old as they are, they are what the rig sent.
        assert seconds - 0.01 < np.median(setup.ages()[-250:]) < seconds + 0.1
        quick = cable.delay(0.0)
        eventually(lambda: setup.ages()[-1], lambda age: age < seconds / 2)
        recovered = float(setup.flight.records()["t_publish"][np.flatnonzero(setup.ages() > seconds / 2)[-1]] - quick)
        setup.wait(500)
        after = eventually(lambda: setup.flight.status().stream, lambda stream: stream.state == "connected")
        lost = setup.lost(rig)
    # With half a second in either direction TCP first sends in bursts: silence comes more than once, and loses nothing.
    assert (lost, after.gaps, after.losses > before.losses) == (0, before.gaps, state == "lost")
    report(f"network delays everything by {seconds * 1e3:g} ms for some seconds", lost, recovered, detected)


def test_a_subscriber_that_is_cut_off(
    network: Network, setup: Setup, epoch: float, tmp_path: Path, report: Report
) -> None:
    with rig_on(network, "rig", epoch, tmp_path):
        setup.wait(500)
        out = network.cut("other")
        decoded = setup.flight.status().bins_decoded
        eventually(time.monotonic, lambda now: now - out > 2)
        assert setup.flight.status().bins_decoded - decoded > 400
        n = len(setup.rows)
        back = network.cut("other", off=False)
        eventually(lambda: len(setup.rows) > n, bool)
        recovered = setup.rows[n, 0] - back
        setup.wait(500)
        lost = int(setup.rows[-1, 6])
    report(
        "subscriber cut off from the network for 2 s",
        lost,
        remark=f"decoding goes on; {max(0.0, recovered):.1f} s later TCP tries again, and what was on its way comes",
    )


def test_the_same_name_on_another_host(
    network: Network, setup: Setup, epoch: float, tmp_path: Path, report: Report
) -> None:
    with rig_on(network, "rig", epoch, tmp_path) as first:
        setup.wait(500)
        with rig_on(network, "other", epoch, tmp_path, source_id="another") as second:
            n = setup.flight.status().bins_decoded
            setup.wait(750)
            assert setup.flight.status().stream.losses == 0 and setup.flight.status().bins_decoded - n > 500
            killed = time.monotonic()
            first.child.process.kill()
            detected = setup.state_after(killed, "lost", "recovered")
            recovered = setup.decoded_after(killed + 0.05)
            setup.wait(250)
            assert second.pushed[-1, 0] - setup.rows[-1, 3] < 1
            lost = setup.lost(first)
    report(
        "a second rig of the same name on another host, then the first killed",
        lost,
        recovered,
        (detected, "`lost`"),
        RESTARTS_S,
        "undisturbed by it while the first lives; then a second goes by in which others might answer, and it is taken",
    )
