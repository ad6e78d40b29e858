"""Files and requests that cannot be used, given to real processes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy.io import savemat

from tests.system.conftest import Control
from tests.system.support import command


def members(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_manifest(bundle: bytes, change: Callable[[dict[str, Any]], None], **replaced: bytes) -> bytes:
    """A bundle with some members replaced, and then its manifest changed."""
    content = members(bundle) | replaced
    manifest = json.loads(content["manifest.json"])
    change(manifest)
    return zipped(content | {"manifest.json": json.dumps(manifest).encode()})


def truncated(bundle: bytes) -> bytes:
    return bundle[: len(bundle) // 2]


def not_a_zip(bundle: bytes) -> bytes:
    return b"this was never a bundle"


def wrong_sha256(bundle: bytes) -> bytes:
    return with_manifest(bundle, lambda manifest: None, **{"weights.safetensors": b"other weights"})


def unknown_schema(bundle: bytes) -> bytes:
    return with_manifest(bundle, lambda manifest: manifest.update(schema_version=99))


def reaching_outside(bundle: bytes) -> bytes:
    """The manifest agrees with the program; only the program's last store goes far beyond the arena."""
    name = "program.safetensors"
    data = members(bundle)[name]
    arrays = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    arrays["instructions"][:, 1] += 1 << 20
    program = save(arrays, metadata=header["__metadata__"])
    digest = hashlib.sha256(program).hexdigest()
    return with_manifest(bundle, lambda manifest: manifest["members"].update({name: digest}), **{name: program})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncated, ["is not a complete zip file", "copy it again"]),
        (not_a_zip, ["is not a complete zip file", "make it anew"]),
        (wrong_sha256, ["weights.safetensors does not match its sha256", "copy it again"]),
        (unknown_schema, ["has schema version 99", "update bmi-decoder, or train the decoder anew"]),
        (reaching_outside, ["outside"]),
    ],
)
def test_a_bundle_that_cannot_be_trusted(
    spoil: Callable[[bytes], bytes], words: list[str], control: Control, linear_bundle: Path, tmp_path: Path
) -> None:
    """By REST and on the command line."""
    data = spoil(linear_bundle.read_bytes())
    known = control.client.decoders()
    answer = httpx.post(f"{url(control)}/v1/decoders", files={"file": ("mine.bmi", data)})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == "file"
    assert control.client.decoders() == known
    assert list((control.data_dir / "uploads").iterdir()) == []

    path = tmp_path / "mine.bmi"
    path.write_bytes(data)
    status, said = command("evaluate", path, tmp_path / "recording.npz")
    assert status == 2
    assert len(said.strip().splitlines()) == 1
    for word in ["mine.bmi", *words]:
        assert word in answer.json()["detail"]
        assert word in said


def url(control: Control) -> str:
    """Where the control plane listens."""
    return control.program.said.split("serving on ")[1].split()[0]


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("sessoin", {"sessoin": "m1"}),
        ("stream.nmae", {"stream": {"name": "M1", "nmae": "M1"}}),
        ("output_filters.low_latency.cutoff", {"output_filters": {"low_latency": {"cutoff_hz": 5, "cutoff": 5}}}),
    ],
)
def test_an_unknown_field(where: str, body: dict[str, Any], control: Control, linear_bundle: Path) -> None:
    decoder = control.client.upload_decoder(linear_bundle).id
    good = {"name": "m1", "stream": {"name": "M1"}, "decoder": decoder}
    answer = httpx.post(f"{url(control)}/v1/sessions", json=good | body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [error["field"] for error in answer.json()["errors"]] == [where]
    assert where in answer.json()["detail"]
    assert control.client.sessions() == []


def nan_in_kinematics(variables: dict[str, Any]) -> None:
    variables["handVel"][1, 17] = np.nan


def negative_count(variables: dict[str, Any]) -> None:
    variables["spikes"][2, 9] = -1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (nan_in_kinematics, ["kinematics must be finite, got nan at bin 17, column 1", "cut these bins out"]),
        (negative_count, ["spike counts must not be negative, got -1", "bin 9, channel 2", "check the reader"]),
    ],
)
def test_a_recording_that_cannot_be_learnt_from(
    spoil: Callable[[dict[str, Any]], None], words: list[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(9)
    variables = {
        "spikes": rng.poisson(1.0, (4, 500)).astype(np.int16),
        "handVel": np.vstack([rng.standard_normal((2, 500)), np.zeros((1, 500))]),
        "time": 0.05 * np.arange(500.0),
        "timeBase": 0.05,
    }
    spoil(variables)
    recording, out = tmp_path / "session.mat", tmp_path / "out.bmi"
    savemat(recording, variables)
    status, said = command("train", recording, "--decoder", "lstm", "--out", out)
    assert status == 2
    assert len(said.strip().splitlines()) == 1
    for word in ["session.mat", *words]:
        assert word in said
    assert not out.exists()
