"""Uploads are read within limits."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.formats import write_npz
from bmi_decoder.recording import Output, Recording
from services.control.recordings.inspection import Inspector
from services.control.rest.problem import Problem

OUTPUTS = (Output("x_velocity", "m/s"),)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.npz"
    write_npz(Recording(np.zeros((500, 4)), np.zeros((500, 1)), OUTPUTS, 0.004), path)
    return path


def refusal(inspector: Inspector, file: Path) -> Problem:
    with pytest.raises(Problem) as caught:
        asyncio.run(inspector.inspect(file, "mine.npz"))
    assert caught.value.status == 422
    return caught.value


def test_what_is_in_a_file(file: Path) -> None:
    assert asyncio.run(Inspector().inspect(file, "mine.npz"))["recording"]["bins"] == 500


def test_one_that_takes_too_long_is_refused(file: Path) -> None:
    assert "could not be read within 0.001 s" in refusal(Inspector(longest_s=0.001), file).detail


def test_one_that_takes_too_much_memory_is_refused(file: Path, tmp_path: Path) -> None:
    """A small file with much in it."""
    large = tmp_path / "large.npz"
    with zipfile.ZipFile(file) as known, zipfile.ZipFile(large, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("header.npy", known.read("header.npy"))
        for name, content in (
            ("counts", np.zeros((20_000_000, 4), np.uint8)),
            ("kinematics", np.zeros((20_000_000, 1))),
            ("segments", np.array([[0, 20_000_000]])),
        ):
            with made.open(f"{name}.npy", "w") as member:
                np.save(member, content)
    assert large.stat().st_size < 2**20
    said = refusal(Inspector(memory_bytes=1 << 28), large).detail
    assert "mine.npz: the file is too large" in said and "cut the recording into parts" in said
