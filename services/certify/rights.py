"""Scheduling rights: what a worker that asks for them would be granted here.

``python -m services.certify.rights`` asks for all of them, prints the grants and ends, so that the certifying
process itself stays as it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from bmi_decoder.config import RealtimeSettings
from bmi_decoder.errors import BmiError
from bmi_decoder.rest_models import RealtimeGrant
from services.certify.finding import Finding, judged
from services.certify.limits import Limits
from services.worker.realtime import apply_realtime

_PRIORITY = 50
_NAMES = {"cpus": "affinity", "priority": "SCHED_FIFO", "lock_memory": "locked memory"}


def rights_facts() -> list[RealtimeGrant]:
    """Ask, in a process of its own.

    Raises
    ------
    BmiError
        If that process fails.
    """
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True)
    if done.returncode:
        raise BmiError(f"cannot ask for scheduling rights: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return [RealtimeGrant(**grant) for grant in json.loads(done.stdout)]


def check_rights(grants: Sequence[RealtimeGrant], limits: Limits) -> list[Finding]:
    """Judge them; a session runs without, so that a refusal fails only where the limits say so."""
    problem = "fail" if limits.realtime else "warn"
    return [
        judged(
            "machine",
            _NAMES[grant.option],
            "granted" if grant.granted else "refused",
            None if grant.granted else problem,  # type: ignore[arg-type]
            grant.why or "see docs/how-to/tune-a-host.md",
            requested=grant.requested,
        )
        for grant in grants
    ]


def main() -> None:
    """Ask for everything, and print what was granted."""
    wanted = RealtimeSettings(cpus=(max(os.sched_getaffinity(0)),), priority=_PRIORITY, lock_memory=True)
    print(json.dumps([grant.model_dump(mode="json") for grant in apply_realtime(wanted)]))


if __name__ == "__main__":
    main()
