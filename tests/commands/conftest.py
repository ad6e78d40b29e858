"""The command line in this process, and a small recording and bundle made with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bmi_decoder.cli import main

FEW_STEPS = ("--set", "epochs=1", "--set", "hidden=4")


@dataclass
class Files:
    """What the commands here start from."""

    folder: Path
    recording: Path
    bundle: Path


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Six seconds of eight channels, and an LSTM trained on them."""
    folder = tmp_path_factory.mktemp("commands")
    made = Files(folder, folder / "recording.npz", folder / "lstm.bmi")
    assert main(["simulate", str(made.recording), "--seconds", "6", "--channels", "8"]) == 0
    arguments = ["train", str(made.recording), "--decoder", "lstm", "--out", str(made.bundle), *FEW_STEPS]
    assert main(arguments) == 0
    (folder / "notes.txt").write_text("no recording")
    (folder / "junk.bmi").write_bytes(b"no bundle")
    (folder / "a_folder").mkdir()
    return made
