"""Steps of a decoder in eager torch, for benchmarks: ``python -m bmi_decoder.training.eager_steps BUNDLE``.

The process answers orders as `bmi_decoder.evaluation.cadence.serve` describes them. Torch runs with one thread, in
inference mode, on a tensor that shares the memory of the bin.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.decoders.restore import restore_decoder
from bmi_decoder.evaluation.cadence import probe_counts, serve


class EagerStepper:
    """A decoder's torch module, step by step.

    Parameters
    ----------
    bundle : Bundle
    """

    def __init__(self, bundle: Bundle) -> None:
        self._decoder = restore_decoder(bundle)
        self._state = self._decoder.initial_state(1)
        self.row = np.zeros(bundle.manifest.n_channels, np.float32)
        self._x = torch.from_numpy(self.row[np.newaxis])
        self._y = torch.zeros(1, len(bundle.manifest.outputs))

    def step(self) -> None:
        """Decode the row."""
        self._y, self._state = self._decoder.step(self._x, self._state)

    def rehearse(self) -> None:
        """Nothing: only the machine does."""

    def output(self) -> npt.NDArray[np.float32]:
        """A copy of the newest output."""
        newest: npt.NDArray[np.float32] = self._y[0].detach().numpy().copy()
        return newest


def main(path: Path) -> None:
    """Serve until standard input ends."""
    torch.set_num_threads(1)
    bundle = read_bundle(path)
    manifest = bundle.manifest
    with torch.inference_mode():
        serve(EagerStepper(bundle), probe_counts(manifest.n_channels, manifest.bin_s))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
