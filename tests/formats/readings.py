"""What a reader process can be asked to do."""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from bmi_decoder.errors import StreamMismatchError
from bmi_decoder.formats.hdf5 import open_hdf5
from bmi_decoder.formats.reader_process import in_reader_process
from bmi_decoder.recording import Output, Recording


@in_reader_process
def recording(path: Path | str, n_bins: int = 1000) -> tuple[Recording, int]:
    """A recording, and the process that made it."""
    counts = np.arange(3 * n_bins).reshape(-1, 3) % 250
    made = Recording(counts, np.linspace(0, 1, n_bins)[:, None], (Output("x", "m"),), 0.02, source=str(path))
    return made, os.getpid()


@in_reader_process
def imported(path: Path | str) -> set[str]:
    """Top-level modules of the process."""
    return {name.partition(".")[0] for name in sys.modules}


@in_reader_process
def refuse(path: Path | str) -> None:
    raise StreamMismatchError(f"{path}: of another shape")


@in_reader_process
def fail(path: Path) -> None:
    (path / "x").read_text()


@in_reader_process
def warn(path: Path | str) -> int:
    warnings.warn("odd, but read", UserWarning, stacklevel=2)
    return 3


@in_reader_process
def end(path: Path | str, number: int) -> None:
    os.kill(os.getpid(), number)


@in_reader_process
def leave(path: Path | str, status: int) -> None:
    print("no such library", file=sys.stderr, flush=True)
    os._exit(status)


@in_reader_process
def first(path: Path | str) -> int:
    """The first number of a dataset."""
    with open_hdf5(Path(path)) as file:
        return int(file["x"][0])


@in_reader_process
def take(path: Path | str, n_bytes: int) -> int:
    return len(np.empty(n_bytes, np.uint8))


@in_reader_process
def hang(path: Path) -> None:
    """Say which process this is, and never end."""
    path.write_text(str(os.getpid()))
    while True:
        time.sleep(60)
