"""A machine that is short of disk, ports or processors."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.recorded_session import read_session
from services.processes import free_port
from tests.faults.conftest import Puppet, Report, StartWatch, recorder
from tests.faults.ledger import RESTARTS_S
from tests.faults.watched import Watched
from tests.system.conftest import Control, Spawn
from tests.waiting import eventually

_HOG = "while True: pass"


def test_a_disk_that_is_full(
    spawn: Spawn, control: Control, watch: StartWatch, puppet: Puppet, report: Report, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        live, rig = watch(), puppet()
        live.watched.wait_good(200)
        program = recorder(spawn, control, live.name, small)
        live.watched.wait_good(250)
        filled = small / "something else"
        filled.write_bytes(bytes(8 << 20))
        began = time.monotonic()
        said = program.wait_said("ALARM")
        told = time.monotonic() - began
        live.watched.wait_good(250)
        lost = live.watched.lost(rig)
        (path,) = small.rglob("*.xdf")
        session = read_session(path)
        assert lost == 0 and len(session.neural.times) > 0
        report(
            "disk full under a recorder",
            lost,
            None,
            detected=(told, "the recorder's alarm"),
            remark=said.split("ALARM: ")[1].split(";")[0] + "; the file can be read",
        )
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_port_that_is_taken(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(100)
    live.client.stop_session(live.name)
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        live.client.change_session(live.name, endpoint=f"tcp://127.0.0.1:{port}")
        began = time.monotonic()
        status = live.client.start_session(live.name)
        status = eventually(lambda: live.status, lambda status: status.state == "failed")
        detected = time.monotonic() - began
        assert str(port) in status.message
    again = time.monotonic()
    endpoint = live.client.start_session(live.name).endpoint
    live.watched.end()
    live.watched = Watched(endpoint, live.watched.epoch)
    recovered = live.watched.good_after(again)
    report("port of the estimates taken", 0, recovered, (detected, "session `failed`, and why"), RESTARTS_S)
    assert len(rig.pushed)


def test_processors_that_are_busy(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(1000)
    before = _latency(live.watched, 0)
    hogs = [subprocess.Popen([sys.executable, "-c", _HOG]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        n = len(live.watched.estimates)
        live.watched.wait_good(2500)
        during = _latency(live.watched, n)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    gone = time.monotonic()
    recovered = live.watched.good_after(gone)
    live.watched.wait_good(250)
    lost = live.watched.lost(rig)
    assert lost == 0
    report(
        f"{len(hogs)} processes that never rest, for 10 s",
        lost,
        recovered,
        remark="p50 and p99 of stamp to published before {:.1f} and {:.1f} ms, meanwhile {:.1f} and {:.1f} ms".format(
            *before, *during
        ),
    )


def _latency(watched: Watched, since: int) -> tuple[float, float]:
    values = np.array([1e3 * (one.t_publish - one.t_source) for one in watched.estimates[since:]])
    p50, p99 = np.percentile(values, (50, 99))
    return float(p50), float(p99)
