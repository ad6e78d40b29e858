"""Subscribers that are slow, never read, or come and go: the others do not notice."""

from __future__ import annotations

import contextlib

import psutil
import zmq

from tests.faults.conftest import Puppet, Report, StartWatch
from tests.waiting import eventually

_GROWTH_MB = 8.0


def test_subscribers_that_never_read(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(250)
    worker = psutil.Process(live.pid)
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        for _ in range(10):
            deaf = stack.enter_context(context.socket(zmq.SUB))
            deaf.setsockopt(zmq.RCVHWM, 1)
            deaf.setsockopt(zmq.RCVBUF, 4096)
            deaf.setsockopt(zmq.LINGER, 0)
            deaf.subscribe(b"")
            deaf.connect(live.endpoint)
        live.watched.wait_good(250)
        before = worker.memory_info().rss
        live.watched.wait_good(5000)
        grown = (worker.memory_info().rss - before) / 1e6
    lost = live.watched.lost(rig)
    assert lost == 0 and grown < _GROWTH_MB
    report("ten subscribers that never read, for 20 s", lost, None, remark=f"worker grows by {grown:.1f} MB")


def test_a_hundred_that_come_and_go(watch: StartWatch, puppet: Puppet, report: Report) -> None:
    live, rig = watch(), puppet()
    live.watched.wait_good(250)
    worker = psutil.Process(live.pid)
    before, files = worker.memory_info().rss, worker.num_fds()
    with zmq.Context() as context:
        for _ in range(4):
            with contextlib.ExitStack() as stack:
                guests = [stack.enter_context(context.socket(zmq.SUB)) for _ in range(25)]
                for guest in guests:
                    guest.setsockopt(zmq.LINGER, 0)
                    guest.setsockopt(zmq.RCVTIMEO, 10_000)
                    guest.subscribe(b"")
                    guest.connect(live.endpoint)
                for guest in guests:
                    guest.recv_multipart()
    live.watched.wait_good(250)
    lost, grown = live.watched.lost(rig), (worker.memory_info().rss - before) / 1e6
    eventually(worker.num_fds, lambda n: n <= files)
    assert lost == 0 and grown < _GROWTH_MB
    report("100 subscribers join and leave", lost, None, remark=f"worker grows by {grown:.1f} MB, no file stays open")
