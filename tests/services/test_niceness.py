"""Processes that give way."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest

from services.niceness import give_way


@pytest.mark.parametrize("own_session", [True, False])
def test_a_process_and_the_session_that_it_leads(own_session: bool) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=own_session) as child:
        try:
            group = Path(f"/proc/{child.pid}/autogroup")
            before = group.read_text() if group.exists() else ""
            for _ in range(3):
                give_way(child.pid, 15)
            assert psutil.Process(child.pid).nice() == 15
            if own_session and before.strip():
                assert group.read_text().endswith("nice 15\n")
            elif before:
                # What it shares with this test is not touched.
                assert group.read_text() == before
        finally:
            child.kill()


def test_what_has_ended_is_left_alone() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    give_way(child.pid, 15)
