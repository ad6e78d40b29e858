"""Loads decoders into a running worker, in a thread that is not the hot one."""

from __future__ import annotations

import gc
import math
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bmi_decoder.bin_width import same_bin_width
from bmi_decoder.bundle import Manifest, read_bundle
from bmi_decoder.config import Settings, WorkerSettings
from bmi_decoder.errors import BmiError
from bmi_decoder.pipeline import Pipeline
from services.worker.command import Command, DisconnectAnswer, SnapshotAnswer, StateAnswer, SwapAnswer, SwapCommand
from services.worker.decode import BinDecoder
from services.worker.shared_weights import share_weights
from services.worker.snapshot import SnapshotRequest
from services.worker.swap import SwapRequest

_LOOK_S = 0.25
STALL_S = 5.0
"""A swap is given up when no bin comes for this long, or for ten bins if that is longer."""

_SLACK_S = 30.0


class Exchange:
    """Swaps what a `BinDecoder` publishes. Methods may be called from any thread but the hot one.

    Parameters
    ----------
    decoder : BinDecoder
    settings : WorkerSettings
        What the worker began with.
    disconnect : callable
        Ends the connections of all subscribers, and gives how many.
    """

    def __init__(self, decoder: BinDecoder, settings: WorkerSettings, disconnect: Callable[[], int]) -> None:
        self._decoder, self._disconnect = decoder, disconnect
        self._settle_s, self._probation_s = settings.settle_s, settings.probation_s
        self._keep_weights = partial(share_weights, folder=Path(settings.flight).parent)
        session = settings.session
        self._decoded_with = {
            settings.revision: (settings.bundle, session.output_filters, session.masked_channels),
        }
        self._busy = threading.Lock()
        self._swapping_to: int | None = None
        # So that the hot thread's reference is never the last one: giving memory back takes time.
        self._kept = [decoder.lane]

    def answer(self, line: bytes) -> Settings:
        """Answer one line of the command socket.

        Raises
        ------
        pydantic.ValidationError
            If it is no command.
        """
        command = Command.model_validate_json(line)
        try:
            if command.swap is not None:
                return self.swap(command.swap)
            if command.disconnect is not None:
                return DisconnectAnswer(connections=self._disconnect())
            return self.state() if command.snapshot is None else self.snapshot()
        except Exception as error:
            traceback.print_exc()
            return SwapAnswer(outcome="fault", reason=f"unexpected {type(error).__name__}: {error}")

    def state(self) -> StateAnswer:
        """What is under way."""
        return StateAnswer(swapping_to=self._swapping_to, last_failure=self._decoder.last_failure)

    def snapshot(self) -> SnapshotAnswer:
        """What decodes, and its state between two bins."""
        request = SnapshotRequest()
        self._decoder.ask(request)
        if not request.wait(STALL_S):
            return SnapshotAnswer(outcome="stalled")
        bundle, output_filters, masked_channels = self._decoded_with[request.revision]
        return SnapshotAnswer(
            outcome="taken",
            revision=request.revision,
            bundle=bundle,
            output_filters=output_filters,
            masked_channels=masked_channels,
            sequence=request.sequence,
            since_reset=request.since_reset,
            pending=request.pending,
            state=request.encoded,
        )

    def swap(self, command: SwapCommand) -> SwapAnswer:
        """Load, validate, warm up and switch; returns when that has happened or failed."""
        if not self._busy.acquire(blocking=False):
            return SwapAnswer(outcome="busy", reason=f"a swap to revision {self._swapping_to} is under way")
        self._swapping_to = command.revision
        try:
            answer = SwapAnswer(outcome="switched") if self._back_to_former(command) else self._load_and_switch(command)
            if answer.outcome != "switched":
                self._decoder.last_failure = (command.revision, answer.reason)
            return answer
        finally:
            self._swapping_to = None
            self._busy.release()

    def _back_to_former(self, command: SwapCommand) -> bool:
        """Whether the wanted revision was still warm, and is published again."""
        shadow = self._decoder.shadow
        if shadow is None or shadow.lane.revision != command.revision:
            return False
        request = SwapRequest(command.revision, None)
        self._decoder.ask(request)
        while not request.wait(STALL_S):
            request.decide("the worker is busy connecting to its stream")
        return not request.failure

    def _load_and_switch(self, command: SwapCommand) -> SwapAnswer:
        decoder = self._decoder
        # The shadow first: what it falls back to is published before it ends.
        shadow = decoder.shadow
        in_use = (None if shadow is None else shadow.lane, decoder.lane)
        self._kept = [lane for lane in self._kept if lane in in_use]
        self._decoded_with = {lane.revision: self._decoded_with[lane.revision] for lane in self._kept}
        try:
            bundle = read_bundle(Path(command.bundle))
            _check_fit(bundle.manifest, decoder.lane.pipeline)
            pipeline = Pipeline(bundle, command.output_filters, command.masked_channels, self._keep_weights)
            lane = decoder.lane_of(pipeline, command.revision)
        except BmiError as error:
            return SwapAnswer(outcome="unfit", reason=str(error))
        del bundle
        self._decoded_with[command.revision] = (command.bundle, command.output_filters, command.masked_channels)
        # Collection is off while a stream runs. What is older is frozen, so this looks only at what loading has left.
        gc.collect(0)
        self._kept.append(lane)
        bin_s = lane.pipeline.bin_s
        request = SwapRequest(
            command.revision, lane, math.ceil(self._settle_s / bin_s), math.ceil(self._probation_s / bin_s)
        )
        decoder.ask(request)
        return self._outcome(request, bin_s)

    def _outcome(self, request: SwapRequest, bin_s: float) -> SwapAnswer:
        """Wait for the hot thread, as long as bins come."""
        stall_s = max(STALL_S, 10 * bin_s)
        limit_s = 4 * request.needed_bins * bin_s + _SLACK_S
        began = moved = time.monotonic()
        seen = self._decoder.sequence
        while not request.wait(_LOOK_S):
            now = time.monotonic()
            if self._decoder.sequence != seen:
                seen, moved = self._decoder.sequence, now
            stalled = f"no bin has come for {now - moved:.0f} s, so that nothing could warm up"
            late = f"it was not warm after {now - began:.0f} s: the stream is interrupted again and again"
            if now - moved > stall_s and request.decide(stalled):
                return SwapAnswer(outcome="stalled", reason=stalled)
            if now - began > limit_s and request.decide(late):
                return SwapAnswer(outcome="stalled", reason=late)
        if request.failure:
            return SwapAnswer(outcome="unfit", reason=f"{request.failure} on this stream, in shadow")
        return SwapAnswer(outcome="switched")


def _check_fit(new: Manifest, running: Pipeline) -> None:
    """Refuse a decoder for another stream, or for another purpose.

    Raises
    ------
    BmiError
        Saying what differs.
    """
    if new.n_channels != running.n_channels:
        raise BmiError(f"it was trained on {new.n_channels} channels, the running stream has {running.n_channels}")
    if not same_bin_width(new.bin_s, running.bin_s):
        raise BmiError(f"it has bins of {new.bin_s * 1e3:g} ms, the running session of {running.bin_s * 1e3:g} ms")
    outputs = [(output.name, output.unit) for output in new.outputs]
    published = [(output.name, output.unit) for output in running.outputs]
    if outputs != published:
        raise BmiError(
            f"its outputs are {_named(outputs)}, the running session publishes {_named(published)}: who receives "
            "them must not find others in their place"
        )


def _named(outputs: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({unit})" for name, unit in outputs)
