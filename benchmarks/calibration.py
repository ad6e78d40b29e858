"""A calibration on a simulated rig in real time, and what follows: ``python benchmarks/calibration.py``.

Begins with an empty data directory: serve -> stream found -> calibrate -> session on its decoder -> R2 of the live
estimates -> record -> calibrate again beside the running session, with another decoder -> hot swap -> stop -> export as
NWB -> train again from that. Each step prints what it gives; the exit status is 1 if one fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from bmi_decoder.client import ControlClient
from bmi_decoder.jobs import JobInfo

TELL_S = 10.0
CLI = (sys.executable, "-m", "bmi_decoder.cli")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--again", type=float, default=60.0, help="seconds of the second calibration")
    parser.add_argument("--decoder", default="kalman")
    parser.add_argument("--second", default="snn_streaming")
    parser.add_argument("--port", type=int, default=8471)
    options = parser.parse_args()
    stream, url = f"calibration-{uuid4().hex[:8]}", f"http://127.0.0.1:{options.port}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(program("serve", "--port", str(options.port), "--data-dir", str(folder / "data")))
        control = stack.enter_context(ControlClient(url, timeout_s=120))
        until(control.healthy)
        stack.enter_context(program("rig", "simulated", "--stream", stream))
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
        xdf, nwb = folder / "recorded.xdf", folder / "recorded.nwb"
        control.download_recording(recorded.id, xdf)
        subprocess.run([*CLI, "export", xdf, "--to", "nwb", "--out", nwb], check=True)
        said(f"exported: {nwb.stat().st_size:,} bytes of NWB")
        finished(control, control.train(control.upload_recording(nwb).id, options.decoder, session="m1"))
    return 0


@contextmanager
def program(*arguments: str) -> Iterator[None]:
    process = subprocess.Popen([*CLI, *arguments, "--lsl", "loopback"], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


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
