"""Fixtures for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports pylsl: liblsl reads its configuration when it is loaded. No stream leaves this machine.
os.environ["LSLAPICFG"] = str(Path(__file__).resolve().parents[1] / "deploy" / "lsl" / "loopback.cfg")
# Before anything imports torch: its threads wait for each other, for long where another process has a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real recordings, which are not part of the project (see docs/reference/formats.md)."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("BMI_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"real recordings are not at {folder}; set BMI_DATA to their folder")
    return folder
