"""The contract of a reader, as a suite that anyone can run on theirs."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from bmi_decoder.errors import InputError
from bmi_decoder.recording import Recording

Reader = Callable[[Path | str], Recording]


def check_reader(read: Reader, path: Path | str, n_damaged: int = 24) -> None:
    """Check that a reader gives sound recordings and refuses bad files with an `InputError`.

    Parameters
    ----------
    read : callable
        Takes a path, as `Path` or `str`, and returns a `Recording`.
    path : Path or str
        A valid file of the reader's format. It is not changed.
    n_damaged : int
        How many damaged copies of the file to try. A reader may still return a recording of one (a CSV that
        lost its last rows is a valid CSV), but must raise nothing other than `InputError`.

    Raises
    ------
    AssertionError
        At the first breach; the message says which.
    """
    path = Path(path)
    before = _sha256(path)
    first = read(path)
    _check_values(first)
    again = read(str(path))
    _require(_everything(first) == _everything(again), "reading twice, by Path and by str, must give the same")
    _require(_sha256(path) == before, "reading must not change the file")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bad = {"missing": folder / f"missing{path.suffix}", "a folder": folder}
        for what, content in (("empty", b""), ("noise", random.Random(0).randbytes(4096))):
            bad[what] = folder / f"{what}{path.suffix}"
            bad[what].write_bytes(content)
        for what, file in bad.items():
            _require(_refuses(read, file), f"a file that is {what} must raise InputError")
        content = path.read_bytes()
        for seed in range(n_damaged):
            damaged = folder / f"damaged{path.suffix}"
            damaged.write_bytes(_damage(content, random.Random(seed)))
            _refuses(read, damaged)


def _check_values(recording: Recording) -> None:
    _require(isinstance(recording, Recording), f"must return a Recording, got {type(recording).__name__}")
    _require(bool(recording.source), "source must say where the recording came from")
    _require(len(set(recording.labels)) == recording.n_channels, "channel labels must differ")
    names = [output.name for output in recording.outputs]
    _require(bool(names) and len(set(names)) == len(names), "outputs must exist and have different names")
    _require(all(output.unit for output in recording.outputs), "every output must have a unit")
    # Views of a file or of a larger array would keep it open or in memory, and change with it.
    _require(recording.counts.flags.c_contiguous, "counts must be contiguous, one row per bin")
    _require(recording.kinematics.flags.c_contiguous, "kinematics must be contiguous, one row per bin")


def _damage(content: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return content[: rng.randrange(1, len(content))]
    damaged = bytearray(content)
    # Half of the faults hit the beginning or the end, where most formats keep their structure.
    for _ in range(rng.randrange(1, 8)):
        near = rng.choice([len(damaged), min(512, len(damaged))])
        damaged[rng.randrange(near) * rng.choice([1, -1])] = rng.randrange(256)
    return bytes(damaged)


def _refuses(read: Reader, path: Path) -> bool:
    try:
        read(path)
    except InputError as error:
        _require(path.name in str(error), f"an error must name the file, got: {error}")
        return True
    except Exception as error:
        raise AssertionError(f"{path.name} must raise InputError, got {type(error).__name__}: {error}") from error
    return False


def _everything(recording: Recording) -> tuple[object, ...]:
    rest = (recording.labels, recording.t0, recording.source, recording.counts.dtype)
    return recording.fingerprint(), *rest


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _require(holds: bool, breach: str) -> None:
    if not holds:
        raise AssertionError(f"reader contract: {breach}")
