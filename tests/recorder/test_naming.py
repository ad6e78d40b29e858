from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from bmi_decoder.errors import BmiError
from services.recorder.naming import FileName


def test_the_layout_of_bids(tmp_path: Path) -> None:
    name = FileName(participant="P01", session="03", task="reach")
    assert name.path(tmp_path, 7) == tmp_path / "sub-P01/ses-03/neural/sub-P01_ses-03_task-reach_run-007_neural.xdf"
    acquired = FileName(participant="P01", acquisition="left", template="%p/%a-%r.xdf")
    assert acquired.path(tmp_path, 1) == tmp_path / "P01/left-001.xdf"


def test_no_recording_overwrites_another(tmp_path: Path) -> None:
    name = FileName(template="run-%r.xdf")
    paths = []
    for _ in range(3):
        path, descriptor = name.create(tmp_path)
        os.write(descriptor, b"first")
        os.close(descriptor)
        paths.append(path.name)
    assert paths == ["run-001.xdf", "run-002.xdf", "run-003.xdf"]
    assert (tmp_path / "run-001.xdf").read_bytes() == b"first"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("%p.xdf", "must have %r"),
        ("%r/%p.xdf", "must have %r"),
        ("../%r.xdf", "inside the folder"),
        ("/tmp/%r.xdf", "inside the folder"),
        ("%r.txt", "ends in .xdf"),
        ("%x-%r.xdf", "no %x"),
        ("%a-%r.xdf", "needs an acquisition"),
    ],
)
def test_templates_that_are_refused(template: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FileName(template=template)


def test_labels_hold_no_path() -> None:
    with pytest.raises(ValidationError):
        FileName(participant="../../etc")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BmiError, match="can be written"):
        FileName().create(tmp_path / "file")
