"""One pipeline on its way to the wire: what runs, where its outputs stand, and how warm it is."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.executor import LiveCall
from bmi_decoder.machine.live.fields import LiveFields
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import HEADER, EstimatePacker, Flag
from services.worker.outlets import LaneOutlets

_HEADER_WORDS = HEADER.size // 8
_WARM_UP, _INVALID = int(Flag.WARM_UP), int(Flag.INVALID)


class Lane:
    """A pipeline that writes its outputs into a message of its own.

    A worker runs one lane, or two while a swap is under way. All allocation happens here, in the thread that loads.

    Parameters
    ----------
    pipeline : Pipeline
    revision : int
        Goes into every message.
    n_values : int
        Outputs that a record of the flight recorder holds; those that this pipeline lacks are NaN.
    outlets : LaneOutlets, optional
        Where its outputs go over LSL.

    Attributes
    ----------
    run : callable
        ``run(x, y)``: one bin, unchecked.
    rehearse : callable
        One bin in vain; neither the state nor the outputs change.
    y : array (1, V * K) of float32
        The outputs, a view into the message.
    values : array (V * K,) of float32
        The same.
    since_reset : int
        Bins decoded since the last reset.
    longest_warm_up : int
        Bins after a reset until every filter has a full block.
    absent : list of float
        What fills the rest of a record.
    outlets : LaneOutlets or None
    """

    __slots__ = (
        "_held",
        "_live_call",
        "_masked_at",
        "_places",
        "absent",
        "longest_warm_up",
        "lookahead",
        "outlets",
        "pack",
        "pipeline",
        "rehearse",
        "revision",
        "run",
        "since_reset",
        "values",
        "warm_up",
        "y",
    )

    def __init__(self, pipeline: Pipeline, revision: int, n_values: int, outlets: LaneOutlets | None = None) -> None:
        self.pipeline, self.revision, self.outlets = pipeline, revision, outlets
        packer = EstimatePacker(pipeline.variants, len(pipeline.outputs))
        self.pack = packer.pack
        self.y = packer.outputs.reshape(1, -1)
        self.values = self.y[0]
        self.absent = [math.nan] * (n_values - self.values.size)
        self.run, self.rehearse = pipeline.engine.run_into, pipeline.engine.rehearse
        self.lookahead, self.warm_up = pipeline.lookahead, pipeline.warm_up
        self.longest_warm_up = max(pipeline.warm_up)
        # Once with the real shapes, so that no session pays for the first call.
        self.run(pipeline.engine.rows()[0], self.y)
        # The live loop writes only what changes from bin to bin.
        self.pack(0, 0, 0.0, 0.0, 0, revision, [0.0] * len(self.warm_up))
        self._held = [np.array(bins, np.int64) for bins in (self.lookahead, self.warm_up)]
        self._masked_at: int = self.pipeline.masked.ctypes.data
        self._places = (packer.address, len(packer.buffer), *(vector.ctypes.data for vector in (self.y, *self._held)))
        self._live_call: LiveCall | None = None
        self.reset()

    def lend(self, fields: LiveFields, x: npt.NDArray[np.float32]) -> bool:
        """Let the live loop run this lane on the bins in `x` (1, C); False if it cannot."""
        if self._live_call is None:
            self._live_call = self.pipeline.engine.live_call(x, self.y)
            if self._live_call is None:
                return False
        fields.call, fields.rehearsal, fields.arena, fields.scratch, fields.n_arena = self._live_call
        fields.message, fields.message_size, fields.outputs, fields.lookahead, fields.warm_up = self._places
        fields.header_words, fields.warm_up_flag, fields.invalid_flag = _HEADER_WORDS, _WARM_UP, _INVALID
        fields.n_outputs, fields.n_variants = self.values.size, len(self.warm_up)
        fields.masked = self._masked_at
        fields.longest_warm_up, fields.revision = self.longest_warm_up, self.revision
        fields.since_reset, fields.outlets = self.since_reset, 0
        if self.outlets is not None:
            self.outlets.lend(fields)
        return True

    def take_back(self, fields: LiveFields) -> None:
        """Go on where the live loop is."""
        self.since_reset = fields.since_reset

    def reset(self) -> None:
        """Return to the state before the first bin."""
        self.pipeline.reset()
        self.since_reset = 0

    def follow(self, x: npt.NDArray[np.float32]) -> bool:
        """Decode a bin that another lane has published; False if the outputs are not finite."""
        self.run(x, self.y)
        self.since_reset += 1
        return math.isfinite(sum(self.values.tolist()))
