"""What is asked of the operating system: each request in a process of its own, so that none outlives its test."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bmi_decoder.config import RealtimeSettings
from bmi_decoder.rest_models import RealtimeGrant

SCRIPT = """
import json, os, sys
from bmi_decoder.config import RealtimeSettings
from services.worker.realtime import apply_realtime
grants = apply_realtime(RealtimeSettings.model_validate_json(sys.argv[1]))
status = open("/proc/self/status").read().split()
print(json.dumps({
    "grants": [grant.model_dump() for grant in grants],
    "cpus": sorted(os.sched_getaffinity(0)),
    "policy": os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK,
    "locked_kb": int(status[status.index("VmLck:") + 1]),
}))
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")


def outcome(settings: RealtimeSettings) -> tuple[dict[str, RealtimeGrant], dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, settings.model_dump_json()], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    return {grant["option"]: RealtimeGrant(**grant) for grant in said.pop("grants")}, said


def test_nothing_is_asked_by_default() -> None:
    grants, system = outcome(RealtimeSettings())
    assert grants == {}
    assert system["policy"] == os.SCHED_OTHER


def test_a_processor_is_granted() -> None:
    cpu = min(os.sched_getaffinity(0))
    grants, system = outcome(RealtimeSettings(cpus=(cpu,)))
    assert grants["cpus"].granted
    assert system["cpus"] == [cpu]


def test_a_processor_that_is_not_there() -> None:
    grants, system = outcome(RealtimeSettings(cpus=(4000,)))
    assert not grants["cpus"].granted
    assert "nproc" in grants["cpus"].why
    assert system["cpus"] == sorted(os.sched_getaffinity(0))


def test_what_is_said_of_priority_and_memory_is_what_holds() -> None:
    """Whether they are granted depends on the rights of whoever runs the tests; that the answer is true does not."""
    grants, system = outcome(RealtimeSettings(priority=5, lock_memory=True))
    assert grants["priority"].granted == (system["policy"] == os.SCHED_FIFO)
    assert grants["lock_memory"].granted == (system["locked_kb"] != 0)
    for grant in grants.values():
        assert grant.granted or "systemd" in grant.why
