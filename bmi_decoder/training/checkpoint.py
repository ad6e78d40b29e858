"""What a killed training run goes on from."""

from __future__ import annotations

import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from bmi_decoder.errors import BmiError, InputError

FORMAT = 1
SHORTEST_INTERVAL_S = 5.0
"""Between two writes: an epoch of a small decoder takes less than its checkpoint."""


class Checkpoint:
    """A file with everything that a training loop holds at the end of an epoch.

    Going on from it gives the same weights, bit for bit, as if training had never stopped, on the same kind of
    processor.

    Parameters
    ----------
    path : Path
    key : str
        Of the run, see `run_key`: recording, settings, seed and code.
    resume : bool
        Whether to read what is there. Otherwise it is replaced.
    interval_s : float
        Shortest time between two writes; None takes `SHORTEST_INTERVAL_S`.
    """

    def __init__(self, path: Path, key: str, resume: bool = False, interval_s: float | None = None) -> None:
        self.path = path
        self._key, self._resume = key, resume
        self._interval_s = SHORTEST_INTERVAL_S if interval_s is None else interval_s
        self._written = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The loop's state; None to begin at the beginning.

        Raises
        ------
        InputError
            If the file is not a checkpoint, or of another run.
        """
        if not self._resume or not self.path.exists():
            return None
        advice = f"train without --resume, or remove {self.path}"
        try:
            # Tensors and plain values only: nothing in the file is executed.
            value = torch.load(self.path, map_location="cpu", weights_only=True)
            fits = value["format"] == FORMAT
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError, zipfile.BadZipFile):
            raise InputError(f"{self.path} is not a complete checkpoint; {advice}") from None
        if not fits or value["key"] != self._key:
            raise InputError(f"{self.path} is of another run: recording, settings, seed or code have changed; {advice}")
        state: dict[str, Any] = value["state"]
        return state

    def is_due(self) -> bool:
        """Whether enough time has passed since the last write."""
        return time.monotonic() - self._written >= self._interval_s

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file.

        Raises
        ------
        BmiError
            If it cannot be written.
        """
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"format": FORMAT, "key": self._key, "state": state}, temporary)
            os.replace(temporary, self.path)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            raise BmiError(f"cannot write the checkpoint {self.path}: {error}") from None
        self._written = time.monotonic()

    def remove(self) -> None:
        """Remove the file, once the bundle is written."""
        self.path.unlink(missing_ok=True)
