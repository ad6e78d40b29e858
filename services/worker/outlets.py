"""A session's estimates as LSL streams, for those who receive over LSL: one outlet per variant."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pylsl
from pylsl.lib import lib

from bmi_decoder.errors import BmiError
from bmi_decoder.machine.live.fields import LiveFields
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import Variant
from services.ingest.lsl import ESTIMATE_TYPE

FLAGS = "flags"
"""The last channel: the estimate's flags, as a number."""

_BUFFER_S = 10
"""Kept for a receiver that does not read; liblsl's own default is six minutes, for each of them."""

_push = ctypes.CDLL(lib._name).lsl_push_sample_ftp
_push.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double, ctypes.c_int)
_PUSH = ctypes.cast(_push, ctypes.c_void_p).value


def push_failed(code: int) -> BmiError:
    """What an error code of liblsl's, from a push, becomes."""
    return BmiError(f"an estimate could not be pushed over LSL: liblsl's error {code}")


class Outlets:
    """The outlets of a session. They stay as they are through swaps, so that no receiver has to connect anew.

    An outlet declares, once, how much earlier than its stamps is what its samples describe: as much as its filter looks
    ahead. With a filter that looks ahead further, or less, the stamps are shifted against those of the bins.

    Parameters
    ----------
    session : str
        Its name begins those of the streams.
    """

    def __init__(self, session: str) -> None:
        self._session = session
        self._open: dict[Variant, _Outlet] = {}

    def of(self, pipeline: Pipeline) -> LaneOutlets:
        """Those for a pipeline's variants. All have the same outputs and bin width: a swap changes neither.

        Raises
        ------
        BmiError
            If one cannot be opened.
        """
        outlets, shifts = [], []
        for variant, lookahead in zip(pipeline.variants, pipeline.lookahead, strict=True):
            offset_s = lookahead * pipeline.bin_s
            if variant not in self._open:
                self._open[variant] = _open(self._session, pipeline, variant, lookahead)
            outlets.append(self._open[variant].outlet)
            shifts.append(self._open[variant].offset_s - offset_s)
        return LaneOutlets(outlets, shifts, len(pipeline.outputs))


class LaneOutlets:
    """Where a lane is published over LSL.

    Parameters
    ----------
    outlets : sequence of pylsl.StreamOutlet
        Per variant.
    shifts : sequence of float
        Per variant, what its stamps are later than the bin's, in seconds.
    n_outputs : int
        Of each variant.
    """

    def __init__(self, outlets: Sequence[pylsl.StreamOutlet], shifts: Sequence[float], n_outputs: int) -> None:
        self._outlets, self._n_outputs = outlets, n_outputs
        self._shifts = np.array(shifts)
        self._addresses = np.array([outlet.obj.value for outlet in outlets], np.int64)
        self._row = np.zeros(n_outputs + 1, np.float32)
        self._places = (_PUSH, *(held.ctypes.data for held in (self._addresses, self._shifts, self._row)))

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop push."""
        fields.push, fields.outlets, fields.shifts, fields.pushed = self._places

    def push(self, values: npt.NDArray[np.float32], t_source: float, flags: int) -> None:
        """Push the outputs (V * K,) of the bin that ends at `t_source`."""
        rows = values.reshape(-1, self._n_outputs).tolist()
        for address, shift, row in zip(self._addresses.tolist(), self._shifts.tolist(), rows, strict=True):
            self._row[:] = *row, flags
            if code := _push(address, self._row.ctypes.data, t_source + shift, 1):
                raise push_failed(code)


@dataclass(frozen=True)
class _Outlet:
    """An outlet, and what it declares."""

    outlet: pylsl.StreamOutlet
    offset_s: float


def _open(session: str, pipeline: Pipeline, variant: Variant, lookahead: int) -> _Outlet:
    name, offset_s = f"{session}-{variant.name}", lookahead * pipeline.bin_s
    # liblsl takes a receiver to an outlet of the same source_id, and what it declares is not asked for again.
    source_id = f"bmi-decoder-{socket.gethostname()}-{name}-{lookahead}"
    labels = [*(output.name for output in pipeline.outputs), FLAGS]
    info = pylsl.StreamInfo(name, ESTIMATE_TYPE, len(labels), 1 / pipeline.bin_s, "float32", source_id)
    info.set_channel_labels(labels)
    info.set_channel_units([*(output.unit for output in pipeline.outputs), "none"])
    about = info.desc().append_child("synchronization")
    about.append_child_value("offset_mean", repr(offset_s))
    about.append_child_value("can_drop_samples", "false")
    try:
        return _Outlet(pylsl.StreamOutlet(info, chunk_size=1, max_buffered=_BUFFER_S), offset_s)
    except RuntimeError:
        raise BmiError(
            f"no LSL outlet can be opened for {name!r}: no port is free, perhaps. Stop other outlets, widen PortRange "
            f"in {os.environ.get('LSLAPICFG', 'the LSL configuration')}, or leave lsl_outlets off"
        ) from None
