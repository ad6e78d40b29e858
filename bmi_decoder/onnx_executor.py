"""Runs a decoder that has no program through its ONNX step, between two machine programs for the filters."""

from __future__ import annotations

import base64
import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import BundleError, InputError
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.verify import MAX_ARENA

INITIAL = "initial."
"""Model metadata under this and a state's name is its value before the first bin, where that is not zero."""


class OnnxExecutor:
    """The same methods as `Executor`, around an ONNX Runtime session.

    Parameters
    ----------
    step : bytes
        ONNX model with inputs ``x`` (1, C) and the states, outputs ``y`` (1, K) and the next states in the
        same order.
    n_channels, n_outputs : int
    front : Executor or None
        Input filter.
    back : Executor
        Raw output to all published variants.

    Raises
    ------
    BundleError
        If the model is not such a step, or has other channels or outputs.
    """

    def __init__(self, step: bytes, n_channels: int, n_outputs: int, front: Executor | None, back: Executor) -> None:
        # Here and not at the top: only decoders without a program pay for loading ONNX Runtime.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        # Its errors come as exceptions; it need not write them as well.
        options.log_severity_level = 4
        # Weights that a model keeps in files beside it would else be looked for where this process happens to run.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        try:
            self._session = onnxruntime.InferenceSession(
                step, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
            metadata = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:
            raise BundleError(f"step.onnx cannot be loaded: {_first_line(error)}") from None
        if not inputs or inputs[0].name != "x" or len(inputs) != len(outputs) or outputs[0].name != "y":
            raise BundleError("step.onnx must map x and the states to y and the next states")
        for value in inputs:
            _check_input(value)
        if inputs[0].shape != [1, n_channels]:
            raise BundleError(f"step.onnx takes x of shape {inputs[0].shape}, the manifest says [1, {n_channels}]")
        self._names = [value.name for value in inputs]
        self._initial = [initial_state(value, metadata.get(INITIAL + value.name)) for value in inputs[1:]]
        self._n_channels = n_channels
        self._check_outputs(n_outputs)
        self._front, self._back = front, back
        self._row, self._published = self.rows()
        self._filtered, self._ones = np.zeros_like(self._row), np.ones_like(self._row)
        self._raw = np.zeros((1, n_outputs), np.float32)
        self.reset()

    def _check_outputs(self, n_outputs: int) -> None:
        """Run once, because the shapes of outputs need not be declared."""
        feeds = [np.zeros((1, self._n_channels), np.float32), *self._initial]
        try:
            outputs = self._session.run(None, dict(zip(self._names, feeds, strict=True)))
        except Exception as error:
            raise BundleError(f"step.onnx cannot be run: {_first_line(error)}") from None
        shapes = [(1, n_outputs), *(state.shape for state in self._initial)]
        for name, output, shape in zip(self._names, outputs, shapes, strict=True):
            if not isinstance(output, np.ndarray) or output.dtype != np.float32 or output.shape != shape:
                what = "y" if name == "x" else f"the next {name}"
                raise BundleError(f"step.onnx gives {what} that is not float32 of shape {shape}")

    def reset(self) -> None:
        """Return to the states before the first bin and to fresh filters."""
        self._states = [state.copy() for state in self._initial]
        self._back.reset()
        if self._front is not None:
            self._front.reset()

    def state(self) -> npt.NDArray[np.float32]:
        """A copy of everything that lives from bin to bin, as one vector."""
        parts = [*(state.ravel() for state in self._states), self._back.state()]
        if self._front is not None:
            parts.append(self._front.state())
        return np.concatenate(parts)

    def load_state(self, state: npt.ArrayLike) -> None:
        """Continue from a state that `state` returned."""
        array = np.asarray(state)
        if array.dtype != np.float32 or array.shape != self.state().shape:
            raise InputError(f"state must be float32 {self.state().shape}, got {array.dtype} {array.shape}")
        at = 0
        for own in self._states:
            own[...] = array[at : at + own.size].reshape(own.shape)
            at += own.size
        n_back = self._back.state().size
        self._back.load_state(array[at : at + n_back])
        if self._front is not None:
            self._front.load_state(array[at + n_back :])

    def run_into(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> None:
        """Run the rows of `x` (T, C) into `y` (T, V * K)."""
        for t in range(len(x)):
            row = self._row
            row[0] = x[t]
            if self._front is not None:
                self._front.run_into(row, self._filtered)
                row = self._filtered
            feeds = dict(zip(self._names, [row, *self._states], strict=True))
            self._raw[:], *self._states = self._session.run(None, feeds)
            self._back.run_into(self._raw, self._published)
            y[t] = self._published[0]

    def live_call(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> None:
        """None: ONNX Runtime is called from Python."""

    def rehearse(self) -> None:
        """Run one row in vain: state and outputs stay as they are."""
        if self._front is not None:
            self._front.rehearse()
        self._session.run(None, dict(zip(self._names, [self._ones, *self._states], strict=True)))
        self._back.rehearse()

    def rows(self, n: int = 1) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Input and output arrays of `n` rows."""
        n_columns = self._back.program.n_outputs
        return np.zeros((n, self._n_channels), np.float32), np.zeros((n, n_columns), np.float32)

    def run(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Run rows and return their outputs."""
        rows = np.asarray(x)
        if rows.ndim != 2 or rows.shape[1] != self._n_channels or rows.dtype.kind not in "biuf":
            raise InputError(f"input must be numbers (bins, {self._n_channels}), got {rows.dtype} {rows.shape}")
        _, y = self.rows(len(rows))
        self.run_into(np.ascontiguousarray(rows, np.float32), y)
        return y


def _check_input(value: Any) -> None:
    if value.type != "tensor(float)" or not all(isinstance(size, int) and size > 0 for size in value.shape):
        raise BundleError(f"step.onnx: {value.name} must be float32 of a fixed shape, got {value.type} {value.shape}")
    if math.prod(value.shape) > MAX_ARENA:
        raise BundleError(f"step.onnx: {value.name} of shape {value.shape} has more than {MAX_ARENA} elements")


def initial_state(value: Any, encoded: str | None) -> npt.NDArray[np.float32]:
    """The first value of a state.

    Parameters
    ----------
    value : onnxruntime.NodeArg
        The model's input.
    encoded : str or None
        Its entry in the model's metadata, see `INITIAL`; None is zero.

    Raises
    ------
    BundleError
        If the entry does not hold that many numbers.
    """
    if encoded is None:
        return np.zeros(value.shape, np.float32)
    try:
        state = np.frombuffer(base64.b64decode(encoded, validate=True), "<f4").reshape(value.shape)
    except ValueError as error:
        raise BundleError(f"step.onnx: the initial state {value.name} cannot be read: {error}") from None
    return state.astype(np.float32)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
