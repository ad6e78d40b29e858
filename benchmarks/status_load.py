"""Whether people who look at a session slow it down: ``python benchmarks/status_load.py [--rate N --rounds N ...]``.

A control plane runs one session on a simulated subject (the demo's: 96 channels, 250 bins/s). Rounds without requests
and rounds in which a process of its own asks for the session's status at a steady rate take turns; latencies are those
of the flight recorder, from the stamp of a bin to its publication. Prints one JSON object; exit status 1 if the p99
with requests is more than 1.1 times that without, if any request failed, or if fewer than 95 % of the rate were
answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.fuzz_rest import serving
from bmi_decoder.formats import write_npz
from bmi_decoder.simulation import SubjectSettings, provenance, simulate
from bmi_decoder.wire import Flag
from services.demo.bundle import LIVE_SEED, SUBJECT, demo_bundle
from services.ingest.lsl import configure_lsl
from services.processes import Child, running
from services.worker.flight.reader import FlightReader

_FILLED = int(Flag.HELD | Flag.ZEROED)
_ALLOWED = 1.1
_ANSWERED = 0.95
_START_S = 30.0
_PERCENTS = (50, 99)
_CONNECTIONS = 8


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Serve, decode, ask."""
    recording, stream = folder / "recording.npz", f"status-load-{os.getpid()}"
    subject = SubjectSettings(subject_seed=SUBJECT, seed=LIVE_SEED, bin_s=0.004)
    write_npz(simulate(subject, 60.0), recording, provenance(subject, 60.0))
    rig_arguments = ["-m", "bmi_decoder.cli", "rig", str(recording), "--stream", stream, "--loop"]
    with serving(folder) as url, running("rig", rig_arguments, folder), httpx.Client(base_url=url, timeout=60) as http:
        flight = _start_session(http, folder / "data", stream)
        asker_arguments = [__file__, "--ask", f"{url}/v1/sessions/load", "--rate", str(options.rate)]
        with running("asker", asker_arguments, folder) as asker:
            asker.next_line()
            latencies: dict[bool, list[npt.NDArray[np.float64]]] = {False: [], True: []}
            answers: list[dict[str, Any]] = []
            server = next(child for child in psutil.Process().children() if "serve" in child.cmdline())
            busy = {False: 0.0, True: 0.0}
            for k in range(options.rounds):
                # ABBA: what drifts with time meets both alike.
                for asked in (False, True) if k % 2 == 0 else (True, False):
                    before = sum(server.cpu_times()[:2])
                    latency, answer = _round(flight, asker if asked else None, options.seconds)
                    busy[asked] += sum(server.cpu_times()[:2]) - before
                    latencies[asked].append(latency)
                    answers += [answer] if answer else []
        status = http.get("/v1/sessions/load").raise_for_status().json()
    durations = np.concatenate([answer["durations_ms"] for answer in answers])
    quiet, loaded = (np.percentile(np.concatenate(latencies[asked]), _PERCENTS) for asked in (False, True))
    return {
        "rounds": options.rounds,
        "round_s": options.seconds,
        "bins": {"quiet": sum(map(len, latencies[False])), "asked": sum(map(len, latencies[True]))},
        "bins_lost": status["bins_lost"],
        "latency_us": {"quiet": _named(quiet), "asked": _named(loaded)},
        "ratio": _named(loaded / quiet, 3),
        "p99_us_by_round": {
            name: [round(float(np.percentile(part, 99)), 1) for part in latencies[asked]]
            for name, asked in (("quiet", False), ("asked", True))
        },
        "control_cpu_share": {
            name: round(busy[asked] / options.rounds / options.seconds, 3)
            for name, asked in (("quiet", False), ("asked", True))
        },
        "requests": {
            "asked_per_s": options.rate,
            "answered_per_s": round(len(durations) / sum(answer["seconds"] for answer in answers), 1),
            "failed": sum(answer["failed"] for answer in answers),
            "answer_ms": _named(np.percentile(durations, _PERCENTS), 2),
        },
        "load_average": os.getloadavg(),
    }


def _start_session(http: httpx.Client, data: Path, stream: str) -> FlightReader:
    """Start a session on the stream, and wait until it decodes."""
    bundle = demo_bundle()
    decoder = http.post("/v1/decoders", files={"file": (bundle.name, bundle.read_bytes())}).raise_for_status().json()
    session = {"name": "load", "stream": {"name": stream}, "decoder": decoder["id"]}
    http.post("/v1/sessions", json=session).raise_for_status()
    http.post("/v1/sessions/load/start").raise_for_status()
    deadline = time.monotonic() + _START_S
    while (status := http.get("/v1/sessions/load").json())["bins_decoded"] < 500:
        if time.monotonic() > deadline:
            raise SystemExit(f"the session does not decode: {status['state']} {status['message']}")
        time.sleep(0.1)
    settings = json.loads((data / "sessions" / "load" / "worker.json").read_text())
    return FlightReader(Path(settings["flight"]))


def _round(
    flight: FlightReader, asker: Child | None, seconds: float
) -> tuple[npt.NDArray[np.float64], dict[str, Any] | None]:
    """Latencies in microseconds of the bins of one round, and what the asker has to say of it."""
    _, first = flight.records_since(sys.maxsize)
    if asker is None:
        time.sleep(seconds)
        answer = None
    else:
        asker.tell(str(seconds))
        answer = json.loads(asker.next_line())
    records, _ = flight.records_since(first)
    real = records[(records["flags"] & _FILLED) == 0]
    return (real["t_publish"] - real["t_source"]) * 1e6, answer


def _named(values: npt.NDArray[np.float64], digits: int = 1) -> dict[str, float]:
    return {f"p{percent}": round(float(value), digits) for percent, value in zip(_PERCENTS, values, strict=True)}


async def _ask(url: str, rate: float) -> None:
    """For each line of standard input, a number of seconds, ask that long and say how that went.

    Over bare connections: a client library takes longer over a request than the control plane, on the same processors.
    """
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await _asked(urlsplit(url), rate, float(line))), flush=True)


async def _asked(url: SplitResult, rate: float, seconds: float) -> dict[str, Any]:
    request = f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
    connections = [await asyncio.open_connection(url.hostname, url.port) for _ in range(_CONNECTIONS)]
    durations: list[float] = []
    failed = 0
    began = time.monotonic()
    dues = (began + k / rate for k in range(int(rate * seconds)))

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal failed
        for due in dues:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() > began + seconds:
                return
            writer.write(request)
            if await _answered(reader):
                # From the moment it was due: one that waits for a connection is late, not left out.
                durations.append((time.monotonic() - due) * 1e3)
            else:
                failed += 1

    await asyncio.gather(*(ask(*connection) for connection in connections))
    for _, writer in connections:
        writer.close()
    return {"durations_ms": durations, "failed": failed, "seconds": max(seconds, time.monotonic() - began)}


async def _answered(reader: asyncio.StreamReader) -> bool:
    """Read one answer; whether it is a status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None, head
    body = await reader.readexactly(int(length[1]))
    return head.startswith(b"HTTP/1.1 200 ") and b'"bins_decoded"' in body


def main() -> int:
    """Measure, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0, metavar="N", help="requests per second")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="of each kind")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of each round, below 60")
    parser.add_argument("--ask", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        asyncio.run(_ask(options.ask, options.rate))
        return 0
    configure_lsl("loopback")
    with tempfile.TemporaryDirectory(prefix="bmi-status-load-") as name:
        result = run(options, Path(name))
    print(json.dumps(result, indent=1))
    requests = result["requests"]
    kept_up = requests["answered_per_s"] >= _ANSWERED * options.rate and not requests["failed"]
    return 0 if kept_up and result["ratio"]["p99"] <= _ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
