"""What open pages of the dashboard cost a running session: latency with and without, and processor time.

``python benchmarks/dashboard.py [--viewer sockets|browser --pages N --rounds N --seconds S --json FILE]`` plays a
simulated subject (96 channels, 250 bins/s) into a session of a real control plane, and opens and closes session pages
round by round. Latency is the flight recorder's, from the end of a bin to its publication; p99 is of each half of a
round, and the medians over the rounds are compared.

``sockets`` reads all that a page is sent and draws nothing, which leaves what the service itself costs: the browser of
a user runs on a laptop beside the rig. ``browser`` is a real Chromium on this machine, which draws with the
processor where there is no graphics card; it yields to everything else. Everything stays on the loopback interface.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser

from benchmarks import browser_walk
from bmi_decoder.client import ControlClient
from bmi_decoder.commands.options import write_json
from services.demo.bundle import LIVE_SEED, SUBJECT, demo_bundle
from services.ingest.lsl import configure_lsl
from services.processes import running
from services.worker.flight.reader import FlightReader

_SETTLE_S = 3.0
_SESSION = "dashboard"
_READERS = str(Path(__file__).with_name("dashboard_readers.py"))

Rates = Callable[[], list[float]]
"""Updates per second of each page since it was asked last."""


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    data, stream, cli = folder / "data", f"dashboard-{os.getpid()}", ("-m", "bmi_decoder.cli")
    rig_arguments = (*cli, "rig", "simulated", "--stream", stream, "--subject", str(SUBJECT), "--seed", str(LIVE_SEED))
    with contextlib.ExitStack() as stack:
        serve = stack.enter_context(running("serve", (*cli, "serve", "--port", "0", "--data-dir", str(data)), folder))
        found = re.search(r"http://\S+", serve.next_line())
        assert found is not None
        client = stack.enter_context(ControlClient(found.group()))
        stack.enter_context(running("rig", rig_arguments, folder))
        client.create_session(_SESSION, stream, client.upload_decoder(demo_bundle()).id)
        client.start_session(_SESSION)
        while client.session(_SESSION).bins_decoded < 500:
            time.sleep(0.1)
        flight = Path(json.loads((data / "sessions" / _SESSION / "worker.json").read_text())["flight"])
        reader = FlightReader(flight)
        stack.callback(reader.close)
        stack.callback(client.stop_session, _SESSION)
        url = f"{found.group()}/dashboard/sessions/{_SESSION}"
        browser = None
        if options.viewer == "browser":
            browser = stack.enter_context(browser_walk.browser())
        control = psutil.Process(serve.process.pid)
        rounds = []
        for _ in range(options.rounds):
            closed = _measure(reader, control, options.seconds)
            with _pages(browser, url, options.pages) if browser else _readers(url, options.pages, folder) as rates:
                opened = _measure(reader, control, options.seconds, rates)
            rounds.append({"closed": closed, "opened": opened})
    return {"viewer": options.viewer, "pages": options.pages, "rounds": rounds, **_summary(rounds)}


@contextlib.contextmanager
def _pages(browser: Browser, url: str, n: int) -> Iterator[Rates]:
    pages = []
    for _ in range(n):
        pages.append(browser.new_page(viewport={"width": 1280, "height": 900}))
        pages[-1].goto(url)
        pages[-1].wait_for_selector("#cursor[data-updates]")
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "chrom" in process.name():
                process.nice(19)
                # Where Linux shares processors between sessions, niceness counts within one only; it is one of its own.
                group = Path(f"/proc/{process.pid}/autogroup")
                if os.getsid(process.pid) == process.pid and group.exists():
                    group.write_text("19")
    yield lambda: [float(page.locator("#f-rate").inner_text()) for page in pages]
    for page in pages:
        page.close()


@contextlib.contextmanager
def _readers(url: str, n: int, folder: Path) -> Iterator[Rates]:
    with running("readers", (_READERS, url, "--pages", str(n)), folder) as readers:
        assert readers.next_line() == "reading"

        def rates() -> list[float]:
            readers.tell("")
            received: list[float] = json.loads(readers.next_line())["frames_per_s"]
            return received

        rates()
        yield rates


def _measure(reader: FlightReader, control: psutil.Process, seconds: float, rates: Rates = list) -> dict[str, Any]:
    time.sleep(_SETTLE_S)
    rates()
    began, cpu = time.monotonic(), control.cpu_times()
    time.sleep(seconds)
    ended, after = time.monotonic(), control.cpu_times()
    records = reader.records()
    records = records[(records["t_source"] >= began) & (records["t_source"] < ended)]
    latency = (records["t_publish"] - records["t_source"]) * 1e6
    busy = after.user + after.system - cpu.user - cpu.system
    p50, p99, p999 = np.percentile(latency, (50, 99, 99.9)).round(1).tolist()
    share = round(100 * busy / (ended - began), 1)
    figures = {"bins": len(records), "p50_us": p50, "p99_us": p99, "p999_us": p999, "control_cpu_percent": share}
    return figures | {"updates_per_s": rates()}


def _summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    def median(side: str, figure: str) -> float:
        return float(np.median([one[side][figure] for one in rounds]))

    figures = ("p50_us", "p99_us", "p999_us", "control_cpu_percent")
    summary: dict[str, Any] = {side: {f: median(side, f) for f in figures} for side in ("closed", "opened")}
    summary["p99_ratio"] = round(summary["opened"]["p99_us"] / summary["closed"]["p99_us"], 3)
    summary["updates_per_s_least"] = min(min(one["opened"]["updates_per_s"]) for one in rounds)
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewer", choices=["sockets", "browser"], default="sockets")
    parser.add_argument("--pages", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=8.0, help="of measuring, in each half of a round")
    parser.add_argument("--json", metavar="FILE", default="-")
    options = parser.parse_args()
    configure_lsl("loopback")
    with tempfile.TemporaryDirectory(prefix="bmi-decoder-dashboard-") as folder:
        write_json(options.json, run(options, Path(folder)))


if __name__ == "__main__":
    main()
