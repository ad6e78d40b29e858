"""``bmi-decoder demo``: a rig, a control plane, a worker and a subscriber, in one command."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from bmi_decoder.bundle import read_bundle
from bmi_decoder.client import ControlClient
from bmi_decoder.commands.options import add_json, write_json
from bmi_decoder.errors import BmiError
from bmi_decoder.pipeline import Pipeline
from services.demo.bundle import LIVE_SEED, SUBJECT, demo_bundle
from services.demo.interrupts import Interrupts
from services.demo.scoreboard import Scoreboard
from services.demo.table import live_table
from services.ingest.lsl import configure_lsl
from services.processes import Child, running
from services.rowlog import RowLogReader

_REFRESH_S = 0.25
_SESSION = "demo"


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("demo", help="everything at once on a simulated rig")
    parser.add_argument("--seconds", type=float, metavar="S", help="end after S seconds of decoding (default: Ctrl-C)")
    parser.add_argument("--headless", action="store_true", help="no live table")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the demo; returns 0 also when it was interrupted."""
    configure_lsl("loopback")
    interrupts = Interrupts()
    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bmi-decoder-demo-")))
        summary: dict[str, Any] = {}
        with contextlib.suppress(KeyboardInterrupt):
            _Demo(options, directory, stack, console, interrupts).play(summary)
    write_json(options.json, summary)
    if options.headless and options.json != "-":
        console.print_json(data=summary)
    return 0


class _Demo:
    def __init__(
        self,
        options: argparse.Namespace,
        directory: Path,
        stack: contextlib.ExitStack,
        console: Console,
        interrupts: Interrupts,
    ) -> None:
        self._options, self._directory, self._stack, self._console = options, directory, stack, console
        self._interrupts = interrupts
        bundle = read_bundle(demo_bundle())
        self._decoder = bundle.manifest.decoder
        self._pipeline = Pipeline(bundle)
        self._children: list[Child] = []

    def play(self, summary: dict[str, Any]) -> None:
        """Start everything, and keep `summary` up to date until time is over."""
        board = Scoreboard(self._pipeline.variants, len(self._pipeline.outputs), self._pipeline.bin_s)
        summary.update(board.summary(), decoder=self._decoder, revision=1)
        with self._console.status("starting the control plane, a worker and a rig ..."):
            url, control = self._serve()
            decoder_id = control.upload_decoder(demo_bundle()).id
            # A stream name of its own: several demos may run on one machine.
            stream = f"demo-rig-{os.getpid()}"
            control.create_session(_SESSION, stream, decoder_id)
            endpoint = control.start_session(_SESSION).endpoint
            self._stack.callback(control.stop_session, _SESSION)
            estimates = self._listen(endpoint)
            pushes = self._rig(stream)
            truth = _TruthInlet(stream)
        lookahead = {
            variant.name: bins * self._pipeline.bin_s
            for variant, bins in zip(self._pipeline.variants, self._pipeline.lookahead, strict=True)
        }
        began, cost = None, 0.0
        with (
            Live(console=self._console, auto_refresh=False, transient=False)
            if not self._options.headless
            else (contextlib.nullcontext()) as live
        ):
            while True:
                # All figures are of the whole run: after hours they cost more, and must not slow the decoding down.
                time.sleep(max(_REFRESH_S, 9 * cost))
                self._interrupts.check()
                refreshed = time.monotonic()
                for child in self._children:
                    child.check()
                board.add_pushes(pushes.new_rows())
                board.add_truth(*truth.pull())
                board.add_estimates(estimates.new_rows())
                summary.update(board.summary(), decoder=self._decoder, revision=control.session(_SESSION).revision)
                if live is not None:
                    live.update(live_table(summary, lookahead, url, endpoint), refresh=True)
                cost = time.monotonic() - refreshed
                if began is None and board.bins_decoded:
                    began = time.monotonic()
                if (
                    began is not None
                    and self._options.seconds is not None
                    and time.monotonic() - began >= self._options.seconds
                ):
                    return

    def _start(self, name: str, *arguments: str) -> Child:
        with self._interrupts.held():
            child = self._stack.enter_context(running(name, arguments, self._directory))
        self._children.append(child)
        return child

    def _serve(self) -> tuple[str, ControlClient]:
        data = self._directory / "data"
        child = self._start("serve", "-m", "bmi_decoder.cli", "serve", "--port", "0", "--data-dir", str(data))
        line = child.next_line()
        match = re.search(r"http://\S+", line)
        if match is None:
            raise BmiError(f"the control plane announced itself with {line!r}, which has no URL")
        url = match.group()
        return url, self._stack.enter_context(ControlClient(url))

    def _listen(self, endpoint: str) -> RowLogReader:
        log = self._directory / "estimates.log"
        n_variants, n_outputs = self._pipeline.shape
        child = self._start("listener", "-m", "services.listener", endpoint, str(log), str(n_variants), str(n_outputs))
        child.next_line()
        return RowLogReader(log)

    def _rig(self, stream: str) -> RowLogReader:
        log = self._directory / "pushes.log"
        child = self._start(
            "rig",
            *("-m", "bmi_decoder.cli", "rig", "simulated", "--stream", stream, "--push-log", str(log)),
            *("--subject", str(SUBJECT), "--seed", str(LIVE_SEED)),
        )
        deadline = time.monotonic() + 10
        while not log.exists() or not log.stat().st_size:
            child.check()
            if time.monotonic() > deadline:
                raise BmiError("the rig did not start within 10 s")
            time.sleep(0.02)
        return RowLogReader(log)


class _TruthInlet:
    """The rig's kinematics stream."""

    def __init__(self, stream: str) -> None:
        import pylsl

        found = pylsl.resolve_byprop("name", f"{stream}-kinematics", timeout=10)
        if not found:
            raise BmiError("the rig's kinematics stream did not appear within 10 s")
        self._inlet = pylsl.StreamInlet(found[0], max_buflen=60, processing_flags=pylsl.proc_clocksync, as_numpy=True)
        self._inlet.open_stream(10)

    def pull(self) -> tuple[Any, Any]:
        """Stamps and samples since the last call."""
        kinematics, stamps = self._inlet.pull_chunk(max_samples=4096)
        return stamps, kinematics
