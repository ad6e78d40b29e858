"""The commands of the README's tutorial, pasted into bash."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.system.support import ROOT, decode_offline, processes_with

SHORTER_TRAINING = "--preset paper --set epochs=1"


def tutorial() -> str:
    """The first code block behind the mark."""
    text = (ROOT / "README.md").read_text()
    found = re.search(r"<!-- tutorial -->\s*```\w*\n(.*?)```", text, re.DOTALL)
    assert found, "README.md has no code block behind <!-- tutorial -->"
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where it runs; with a `bmi-decoder` that trains for a shorter time, and no process afterwards."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "bmi-decoder"
    program.write_text(
        f'#!/bin/sh\n[ "$1" != train ] || set -- "$@" {SHORTER_TRAINING}\n'
        f'exec "{sys.executable}" -m bmi_decoder.cli "$@"\n'
    )
    program.chmod(0o755)
    yield tmp_path
    for process in processes_with(tmp_path):
        process.kill()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorial needs curl")
def test_the_readme_tutorial(folder: Path, data_dir: Path, stevenson: Path, stream_name: str) -> None:
    script = tutorial()
    for mine, other in {
        "--stream M1": f"--stream {stream_name}",
        r"{\"name\": \"M1\"": rf"{{\"name\": \"{stream_name}\"",
        "--speed 20": "--speed 100",
    }.items():
        assert script.count(mine) == 1, f"the tutorial no longer says {mine!r} once"
        script = script.replace(mine, other)
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BMI_DATA": str(data_dir),
        "TMPDIR": str(folder),
    }
    with (folder / "output").open("w+") as output:
        running = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            status = running.wait(120)
        finally:
            running.kill()
            running.wait()
            output.seek(0)
            said = output.read()
    assert status == 0, said
    assert processes_with(folder) == []

    (estimates_file,) = folder.glob("*/estimates.jsonl")
    lines = [json.loads(line) for line in estimates_file.read_text().splitlines()]
    estimates = [line for line in lines if "sequence" in line]
    offline = decode_offline(folder / "lstm.bmi", stevenson, folder)
    assert [estimate["sequence"] for estimate in estimates] == list(range(len(offline["raw"])))
    for variant in ("raw", "low_latency", "high_accuracy"):
        received = np.array([estimate[variant]["outputs"] for estimate in estimates], np.float32)
        np.testing.assert_array_equal(received, offline[variant])

    answers = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert answers[0]["status"] == "ok"
    states = [answer["state"] for answer in answers if "state" in answer]
    assert states[0] == "stopped" and states[-1] == "stopped"
    final = answers[-1]
    assert (final["bins_decoded"], final["bins_lost"], final["bins_duplicated"]) == (len(estimates), 0, 0)
