"""``python -m services.bench.decoders.steps machine|onnx BUNDLE``: steps of a decoder without torch.

The process answers orders as `bmi_decoder.evaluation.cadence.serve` describes them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.evaluation.cadence import probe_counts, serve
from bmi_decoder.machine.executor import Executor
from bmi_decoder.onnx_executor import INITIAL, initial_state


class MachineStepper:
    """A decoder's program on the streaming machine, as a live session runs it.

    Parameters
    ----------
    bundle : Bundle
        With a program.
    """

    def __init__(self, bundle: Bundle) -> None:
        assert bundle.program is not None
        executor = Executor(bundle.program)
        self._x, self._y = executor.rows()
        self.row = self._x[0]
        self._run_into, self._rehearse = executor.run_into, executor.rehearse

    def step(self) -> None:
        """Decode the row."""
        self._run_into(self._x, self._y)

    def rehearse(self) -> None:
        """Bring program and parameters into the cache."""
        self._rehearse()

    def output(self) -> npt.NDArray[np.float32]:
        """A copy of the newest output."""
        return self._y[0].copy()


class BoundOnnxStepper:
    """A decoder's ONNX step with one thread, bound to arrays that are allocated once.

    Two bindings take turns: the states that one writes are those that the other reads. Nothing is copied.

    Parameters
    ----------
    bundle : Bundle
    """

    def __init__(self, bundle: Bundle) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(bundle.onnx, options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self._x = np.zeros((1, bundle.manifest.n_channels), np.float32)
        self._y = np.zeros((1, len(bundle.manifest.outputs)), np.float32)
        self.row = self._x[0]
        first = [initial_state(value, metadata.get(INITIAL + value.name)) for value in inputs[1:]]
        # The bindings hold addresses only, so the arrays are kept here.
        self._states = (first, [state.copy() for state in first])
        self._bindings = [session.io_binding(), session.io_binding()]
        for k, binding in enumerate(self._bindings):
            for value, array in zip(inputs, [self._x, *self._states[k]], strict=True):
                binding.bind_input(value.name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            for value, array in zip(outputs, [self._y, *self._states[1 - k]], strict=True):
                binding.bind_output(value.name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._run, self._turn = session.run_with_iobinding, 0

    def step(self) -> None:
        """Decode the row."""
        self._run(self._bindings[self._turn])
        self._turn = 1 - self._turn

    def rehearse(self) -> None:
        """Nothing: only the machine does."""

    def output(self) -> npt.NDArray[np.float32]:
        """A copy of the newest output."""
        return self._y[0].copy()


def main(runtime: str, path: Path) -> None:
    """Serve until standard input ends."""
    bundle = read_bundle(path)
    manifest = bundle.manifest
    stepper = MachineStepper(bundle) if runtime == "machine" else BoundOnnxStepper(bundle)
    serve(stepper, probe_counts(manifest.n_channels, manifest.bin_s))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
