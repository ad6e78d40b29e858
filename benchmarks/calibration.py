"""A calibration on a simulated rig in real time, and what follows: ``python benchmarks/calibration.py [--browser]``.

Begins with an empty data directory: serve -> stream found -> calibrate -> session on its decoder -> R2 of the live
estimates -> record -> calibrate again beside the running session, with another decoder -> hot swap -> stop -> export as
NWB -> train again from that. Each step prints what it gives; the exit status is 1 if one fails. With ``--browser`` all
of it is done with the keyboard and the mouse on the dashboard, in a real Chromium.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

from bmi_decoder.client import ControlClient
from bmi_decoder.jobs import JobInfo
from services.processes import running

TELL_S = 10.0
PATIENCE_S = 600.0
CLI = ("-m", "bmi_decoder.cli")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--again", type=float, default=60.0, help="seconds of the second calibration")
    parser.add_argument("--decoder", default="kalman")
    parser.add_argument("--second", default="snn_streaming")
    parser.add_argument("--port", type=int, default=8471)
    parser.add_argument("--browser", action="store_true", help="on the dashboard")
    options = parser.parse_args()
    stream, url = f"calibration-{uuid4().hex[:8]}", f"http://127.0.0.1:{options.port}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        serve = ("serve", "--port", str(options.port), "--data-dir", str(folder / "data"), "--lsl", "loopback")
        stack.enter_context(running("serve", (*CLI, *serve), folder))
        control = stack.enter_context(ControlClient(url, timeout_s=120))
        until(control.healthy)
        rig = ("rig", "simulated", "--stream", stream, "--no-wait", "--lsl", "loopback")
        stack.enter_context(running("rig", (*CLI, *rig), folder))
        (in_browser if options.browser else over_rest)(control, url, stream, options)
        status = control.session(control.sessions()[0].name)
        said(f"in the end: {status.bins_decoded} bins decoded, {status.bins_lost} lost, {status.restarts} restarts")
    return 0


def over_rest(control: ControlClient, url: str, stream: str, options: argparse.Namespace) -> None:
    """With `ControlClient`."""
    until(lambda: stream in {found.name for found in control.streams()})
    said(f"stream found: {stream}")
    streams = (stream, f"{stream}-kinematics")
    first = finished(control, control.calibrate(*streams, options.decoder, seconds=options.seconds))
    control.create_session("m1", stream, first["decoder"])
    control.start_session("m1")
    until(lambda: control.session("m1").state == "running")
    said("session m1 runs")
    control.record_session("m1", kinematics=streams[1])
    job = control.calibrate(*streams, options.second, seconds=options.again, session="m1")
    finished(control, job)
    status = control.deploy_job(job.id)
    said(f"swapped: revision {status.revision}, {status.bins_decoded} bins decoded, {status.bins_lost} lost")
    time.sleep(5)  # some data behind the swap
    recorded = control.stop_recording("m1").recording
    status = control.stop_session("m1")
    said(f"stopped: {status.bins_decoded} bins decoded, {status.bins_lost} lost; recorded {recorded.n_bins} bins")
    nwb = finished(control, control.export_recording(recorded.id, species="Macaca mulatta", age="P6Y"))["recording"]
    said(f"exported: {control.recording(nwb).size_bytes:,} bytes of NWB")
    finished(control, control.train(nwb, options.decoder, session="m1"))


def in_browser(control: ControlClient, url: str, stream: str, options: argparse.Namespace) -> None:
    """On the dashboard."""
    from playwright.sync_api import expect

    from benchmarks import browser_walk as walk

    expect.set_options(timeout=60_000)
    with walk.browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=url)
        row = walk.find_stream(page, stream)
        said(f"stream found: {stream}")
        row.get_by_role("link", name="Calibrate").click()
        usable, r2 = walk.calibrate(page, options.decoder, options.seconds, PATIENCE_S)
        said(f"calibrated {options.decoder}: {usable:,} usable bins; R2 {r2}")
        walk.decode_with_it(page, stream)
        said("R2 of the live estimates: {:.3f} ({})".format(*walk.live_r2(page, PATIENCE_S)))
        walk.record(page)
        page.get_by_role("link", name="Calibrate a decoder").click()
        usable, r2 = walk.calibrate(page, options.second, options.again, PATIENCE_S)
        said(f"calibrated {options.second}: {usable:,} usable bins; R2 {r2}")
        for compared in page.locator("tr[data-variant=low_latency]").all():
            cells = compared.locator("td").all_inner_texts()
            said("  part, estimate, R2, of each output, same bins, new, in use, gain: " + " | ".join(cells))
        page.get_by_role("button", name="Deploy").click()
        page.get_by_role("link", name="Watch session").click()
        expect(page.locator("#f-revision")).to_have_text("2")
        status = control.session(stream)
        said(f"swapped: revision {status.revision}, {status.bins_decoded} bins decoded, {status.bins_lost} lost")
        page.wait_for_timeout(20_000)  # the figure shall be of some movement
        said("R2 of the live estimates: {:.3f} ({})".format(*walk.live_r2(page, PATIENCE_S)))
        walk.stop_recording(page)
        walk.stop(page)
        said("recorded and stopped")
        page.get_by_role("link", name="Overview").click()
        walk.export(page, PATIENCE_S)
        said("exported as NWB")
        page.get_by_role("link", name="Train on the recording").click()
        said(f"trained {options.decoder} on that: R2 {walk.train(page, options.decoder, PATIENCE_S)}")


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.2)


def finished(control: ControlClient, job: JobInfo) -> dict[str, Any]:
    """The result of a job, printed."""
    told = time.monotonic()
    while job.state in ("queued", "running"):
        time.sleep(0.2)
        job = control.job(job.id)
        if time.monotonic() - told > TELL_S:
            told = time.monotonic()
            said(f"  {job.progress:4.0%} {job.message}")
    if job.state != "done" or job.result is None:
        sys.exit(f"{job.kind} {job.state}: {job.error}")
    result = job.result
    if "decoder" not in result:
        return result
    said(f"{job.kind} done: decoder {result['decoder']}, {result.get('collected', '')}")
    for part, variants in result["metrics"].items():
        for variant, figures in variants.items():
            both = ((result["comparison"] or {}).get(part) or {}).get(variant)
            paired = (
                f"; same {both['bins']} bins: {both['new']['r2']:.3f}, in use {both['in_use']['r2']:.3f}"
                if both
                else ""
            )
            each = ", ".join(f"{name} {value:.3f}" for name, value in figures["r2_per_output"].items())
            said(f"  {part:10} {variant:13} R2 {figures['r2']:.3f} ({each}){paired}")
    return result


def said(text: str) -> None:
    print(f"{time.monotonic() - STARTED:6.1f} s  {text}", flush=True)


STARTED = time.monotonic()

if __name__ == "__main__":
    sys.exit(main())
