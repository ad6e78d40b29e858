"""What the system tests share: programs as processes, and what a subscriber receives."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from bmi_decoder.cli import main
from bmi_decoder.client import ALL_TOPICS, ControlClient, Subscriber
from bmi_decoder.keys import KeyPair
from bmi_decoder.rest_models import SessionStatus
from bmi_decoder.wire import Estimate, Flag, Health, Heartbeat
from tests.waiting import DEADLINE_S, eventually

ROOT = Path(__file__).parents[2]
CLI = ("-m", "bmi_decoder.cli")


class Program:
    """A Python program in the background, with what it says in a file.

    Parameters
    ----------
    arguments : sequence of str
        Behind the interpreter.
    log : Path
        For standard output and standard error.
    environment : mapping, optional
        Variables to set.
    """

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | (environment or {}),
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """All its output so far."""
        return self._log.read_text(errors="replace")

    def wait_said(self, text: str) -> str:
        """Wait until it has said something, and return all of it."""

        def look() -> str:
            said = self.said
            assert text in said or self.process.poll() is None, f"it ended without saying {text!r}: {said}"
            return said

        return eventually(look, lambda said: text in said)

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """Wait for its end; returns the exit status."""
        return self.process.wait(timeout_s)

    def end(self) -> None:
        """Make sure that it and everything that it has started is gone."""
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def command(*arguments: str | Path) -> tuple[int, str]:
    """Run a sub-command of ``bmi-decoder`` to its end; returns its exit status and its standard error."""
    done = subprocess.run(
        [sys.executable, *CLI, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stderr


def processes_with(text: str | Path) -> list[psutil.Process]:
    """Live processes whose command line mentions something."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and any(str(text) in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def decode_offline(bundle: Path, recording: Path, folder: Path) -> dict[str, npt.NDArray[Any]]:
    """What ``bmi-decoder decode`` writes."""
    out = folder / "offline.npz"
    assert main(["decode", str(bundle), str(recording), "--out", str(out)]) == 0
    with np.load(out) as file:
        return dict(file)


@dataclass
class Received:
    """Everything that a subscriber has received."""

    subscriber: Subscriber
    estimates: list[Estimate] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)

    def read(self, timeout_s: float = 0.1) -> None:
        """Take in what has come; waits for one message at most."""
        while (message := self.subscriber.receive(timeout_s)) is not None:
            match message:
                case Estimate():
                    self.estimates.append(message)
                case Health():
                    self.events.append(message.event)
                case Heartbeat():
                    self.heartbeats.append(message)
            timeout_s = 0

    def until(self, condition: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
        """Take in until a condition holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.read()
            assert time.monotonic() < deadline, (
                f"after {timeout_s:g} s {len(self.estimates)} estimates, {len(self.heartbeats)} heartbeats, "
                f"events {self.events[-5:]}"
            )

    def until_estimates(self, n: int) -> None:
        """Take in until there are `n` estimates."""
        self.until(lambda: len(self.estimates) >= n)

    def until_event(self, name: str, count: int = 1) -> None:
        """Take in until an event has come so many times."""
        self.until(lambda: sum(event["event"] == name for event in self.events) >= count)

    @property
    def happened(self) -> list[str]:
        """Names of the events, but for what a busy machine and the units of a real recording add."""
        return [name for event in self.events if (name := event["event"]) not in ("late", "recovered", "channels")]

    @property
    def sequences(self) -> list[int]:
        return [estimate.sequence for estimate in self.estimates]

    @property
    def indices(self) -> list[int]:
        return [estimate.bin_index for estimate in self.estimates]

    def flagged(self, flag: Flag) -> list[int]:
        """Sequence numbers of the estimates with a flag."""
        return [estimate.sequence for estimate in self.estimates if estimate.flags & flag]

    def outputs(self, variant: str) -> npt.NDArray[np.float32]:
        """All estimates of a variant, (n, K)."""
        return np.array([estimate.variant(variant) for estimate in self.estimates])


class Live:
    """A session on a control plane, and a subscriber that was there before its first bin."""

    def __init__(self, client: ControlClient, name: str, stream: str, key: KeyPair | None = None) -> None:
        self.client, self.name, self.stream = client, name, stream
        status = client.start_session(name)
        self.received = Received(Subscriber(status.endpoint, ALL_TOPICS, server_key=status.server_key, key=key))

    def wait_connected(self) -> None:
        """Wait for the first heartbeat."""
        self.received.until(lambda: bool(self.received.heartbeats))

    def wait_decoded(self, for_s: float) -> None:
        """Wait for the estimate of a bin that ends so far from now."""
        until = time.monotonic() + for_s
        self.received.until(lambda: bool(self.received.estimates) and self.received.estimates[-1].t_source > until)

    @property
    def status(self) -> SessionStatus:
        return self.client.session(self.name)

    def wait_state(self, state: str) -> SessionStatus:
        """Wait until the session is in a state."""
        return eventually(lambda: self.status, lambda status: status.state == state)
