"""Processes that die, hang, or get no memory."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bmi_decoder.client import ControlError
from bmi_decoder.recorded_session import read_session
from services.control.storage.places import DataDirectory
from tests.control.support import write_linear_bundle
from tests.faults.conftest import Puppet, Report, StartWatch, recorder
from tests.faults.ledger import RESTARTS_S
from tests.system.conftest import Control, Spawn, serve
from tests.system.support import processes_with
from tests.waiting import eventually


def test_a_worker_that_is_killed(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    worker, killed = psutil.Process(live.pid), time.monotonic()
    worker.kill()
    # Until it is gone it may publish what it had begun.
    gone = eventually(lambda: (worker.is_running(), time.monotonic()), lambda seen: not seen[0])[1]
    detected = eventually(lambda: (live.status.restarts, time.monotonic() - killed), lambda seen: seen[0] == 1)[1]
    recovered = live.watched.good_after(gone) + gone - killed
    live.watched.wait_good(100)
    lost = live.watched.lost(rig)
    report("worker killed (SIGKILL)", lost, recovered, (detected, "status, `restarts`"), RESTARTS_S)


def test_a_worker_that_is_stopped(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    worker = psutil.Process(live.pid)
    stopped = time.monotonic()
    worker.suspend()
    detected = eventually(
        lambda: (live.status.last_bin_age_s or 0.0, time.monotonic() - stopped), lambda seen: seen[0] > 0.25
    )[1]
    eventually(time.monotonic, lambda now: now - stopped > 3)
    again = time.monotonic()
    worker.resume()
    recovered = live.watched.good_after(again)
    live.watched.wait_good(500)
    lost = live.watched.lost(rig)
    report(
        "worker stopped (SIGSTOP) for 3 s and continued",
        lost,
        recovered,
        (detected, "status, `last_bin_age_s`"),
        remark="its inlet holds one second; the rest is a gap that is said",
    )


def test_a_worker_that_gets_no_memory(watch: StartWatch, puppet: Puppet, report: Report, tmp_path: Path) -> None:
    """A new decoder is refused for want of memory; the one that runs needs none."""
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    worker, client = psutil.Process(live.pid), live.client
    large = client.upload_decoder(write_linear_bundle(tmp_path / "large.bmi", n_hidden=1_000_000)).id
    unlimited = worker.rlimit(psutil.RLIMIT_AS)
    worker.rlimit(psutil.RLIMIT_AS, (worker.memory_info().vms, resource.RLIM_INFINITY))
    limited = time.monotonic()
    with pytest.raises(ControlError) as refused:
        client.change_session(live.name, decoder=large)
    detected = (time.monotonic() - limited, f"PATCH answers {refused.value.status}")
    live.watched.wait_good(200)
    worker.rlimit(psutil.RLIMIT_AS, unlimited)
    lost = live.watched.lost(rig)
    assert lost == 0 and live.status.restarts == 0
    client.change_session(live.name, output_filters={"low_latency": {"order": 2, "cutoff_hz": 8, "width": 24}})
    live.watched.wait_event("swap", since=limited)
    report(
        "worker may not have more memory while a decoder is swapped in",
        lost,
        None,
        detected,
        remark="the old one decodes on; the swap succeeds when there is memory again",
    )


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    """A control group of 4 MiB, where the kernel has them and this user may make one."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    parent, limit = (v1, "memory.limit_in_bytes") if v1.exists() else (v2, "memory.max")
    group = parent / f"bmi-{os.getpid()}"
    if not os.access(parent, os.W_OK):
        pytest.skip("this user can make no control group")
    group.mkdir()
    try:
        if not (group / limit).exists():
            pytest.skip("memory is not among the controllers of control groups here")
        (group / limit).write_text(str(4 << 20))
        for swap in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            if (group / swap).exists():
                (group / swap).write_text(str(4 << 20))
        yield group
        eventually(lambda: (group / "cgroup.procs").read_text(), lambda processes: not processes)
    finally:
        group.rmdir()


def test_a_worker_that_the_kernel_kills_for_its_memory(
    group: Path, watch: StartWatch, puppet: Puppet, report: Report, tmp_path: Path
) -> None:
    """A new decoder is more than the worker's control group has room for."""
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    worker, client = psutil.Process(live.pid), live.client
    large = client.upload_decoder(write_linear_bundle(tmp_path / "large.bmi", n_hidden=1_000_000)).id
    former = live.status.decoder
    (group / "cgroup.procs").write_text(str(worker.pid))
    asked = time.monotonic()
    with pytest.raises(ControlError) as refused:
        client.change_session(live.name, decoder=large)
    detected = (time.monotonic() - asked, f"PATCH answers {refused.value.status}")
    gone = eventually(lambda: (worker.is_running(), time.monotonic()), lambda seen: not seen[0])[1]
    recovered = live.watched.good_after(gone) + gone - asked
    live.watched.wait_good(200)
    status = live.status
    assert (status.restarts, status.decoder, status.revision) == (1, former, 1)
    lost = live.watched.lost(rig)
    report(
        "worker killed by the kernel: its control group has no memory for the decoder that is swapped in",
        lost,
        recovered,
        detected,
        RESTARTS_S,
        "the former decoder goes on",
    )


def test_a_control_plane_that_is_killed(
    spawn: Spawn, watch: StartWatch, puppet: Puppet, report: Report, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    plane = serve(spawn("serve", "--port", "0", "--data-dir", data_dir), data_dir)
    live, rig = watch(plane.client), puppet()
    live.watched.wait_good(200)
    worker = live.pid
    plane.program.process.kill()
    plane.program.wait()
    live.watched.wait_good(250)
    began = time.monotonic()
    again = serve(spawn("serve", "--port", "0", "--data-dir", data_dir), data_dir)
    status = eventually(lambda: again.client.session(live.name), lambda status: status.state == "running")
    recovered = time.monotonic() - began
    live.client = again.client
    live.watched.wait_good(250)
    lost = live.watched.lost(rig)
    assert status.pid == worker and lost == 0
    report(
        "control plane killed and started again",
        lost,
        recovered,
        bar_s=RESTARTS_S,
        remark="until REST answers; decoding is not interrupted",
    )
    live.finish()
    flights = DataDirectory.create(data_dir).flights
    again.program.process.terminate()
    again.program.wait()
    for client in (plane.client, again.client):
        client.close()
    assert processes_with(data_dir) == [] and (flights is None or not flights.exists())


def test_a_recorder_that_is_killed(
    spawn: Spawn, control: Control, watch: StartWatch, puppet: Puppet, report: Report, tmp_path: Path
) -> None:
    live, rig = watch(), puppet()
    program = recorder(spawn, control, live.name, tmp_path / "recordings")
    live.watched.wait_good(500)
    killed = time.monotonic()
    program.process.kill()
    program.wait()
    live.watched.wait_good(200)
    lost = live.watched.lost(rig)
    (path,) = (tmp_path / "recordings").rglob("*.xdf")
    session = read_session(path)
    missing = killed - session.neural.times[-1]
    assert lost == 0 and missing < 1
    report(
        "recorder killed (SIGKILL)",
        lost,
        None,
        remark=f"its file can be read, and ends {1e3 * missing:.0f} ms before that",
    )


def test_a_bundle_that_is_spoilt_on_the_disk(
    control: Control, watch: StartWatch, puppet: Puppet, report: Report
) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(200)
    bundle = control.data_dir / "decoders" / f"{live.status.decoder}.bmi"
    whole = bundle.read_bytes()
    try:
        bundle.write_bytes(whole[:1000] + bytes(1000) + whole[2000:])
        live.watched.wait_good(200)
        assert live.watched.lost(rig) == 0
        killed = time.monotonic()
        os.kill(live.pid, signal.SIGKILL)
        status = eventually(lambda: live.status, lambda status: status.state == "failed")
        detected = time.monotonic() - killed
        assert bundle.name in status.message or "zip" in status.message, status.message
    finally:
        bundle.write_bytes(whole)
    again = time.monotonic()
    live.client.start_session(live.name)
    recovered = live.watched.good_after(again)
    live.watched.wait_good(100)
    report(
        "decoder's file spoilt while it runs, then the worker killed",
        live.watched.lost(rig),
        recovered,
        (detected, "session `failed`, and why"),
        RESTARTS_S,
        "what runs is not disturbed; nothing is decoded with a spoilt file; recovered after it is whole and started",
    )
