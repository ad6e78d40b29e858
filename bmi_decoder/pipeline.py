"""Input filter, decoder and output filters as one object, the same online and offline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bmi_decoder.bin_width import same_bin_width
from bmi_decoder.bundle import Bundle
from bmi_decoder.config import BlockFilterSettings, FilterVariant, FirFilterSettings, OutputFilterSettings
from bmi_decoder.errors import InputError
from bmi_decoder.machine.builder import Builder, Slot
from bmi_decoder.machine.executor import Executor, LiveCall
from bmi_decoder.masking import masked_input
from bmi_decoder.onnx_executor import OnnxExecutor
from bmi_decoder.recording import Output, Recording
from bmi_decoder.wire import Variant
from filters import FilterDesignError, bessel_sos, block_taps, variant_position

KeepWeights = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


class Engine(Protocol):
    """What runs the rows: the streaming machine, or ONNX Runtime for a decoder that has no program."""

    def reset(self) -> None:
        """Return to the state before the first bin."""

    def state(self) -> npt.NDArray[np.float32]:
        """A copy of the state."""

    def load_state(self, state: npt.ArrayLike) -> None:
        """Continue from a state that `state` returned."""

    def run_into(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> None:
        """Run the rows of `x` into `y`, unchecked: the hot path."""

    def live_call(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> LiveCall | None:
        """Where the live loop finds what `run_into` does with these rows; None if it cannot do that."""

    def rehearse(self) -> None:
        """Run one row in vain, which brings code and weights into the processor's caches."""

    def rows(self, n: int = 1) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Input and output arrays for `run_into`."""

    def run(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Run checked rows and return their outputs."""


def filter_taps(
    variant: FilterVariant, settings: BlockFilterSettings | FirFilterSettings, bin_s: float
) -> npt.NDArray[np.float64]:
    """Taps of an output or input filter, oldest first.

    Raises
    ------
    InputError
        If the filter cannot be designed at this bin rate, or was made for another, naming the variant.
    """
    if isinstance(settings, FirFilterSettings):
        if not same_bin_width(settings.bin_s, bin_s):
            raise InputError(
                f"{variant} filter was made for bins of {settings.bin_s * 1e3:g} ms, the decoder has bins of "
                f"{bin_s * 1e3:g} ms; choose a Bessel filter, or the filter that was chosen with the decoder"
            )
        return np.array(settings.taps, np.float64)
    try:
        sos = bessel_sos(settings.order, settings.cutoff_hz, 1 / bin_s)
        return block_taps(sos, settings.width, variant_position(variant, settings.width), settings.boundary)
    except FilterDesignError as error:
        raise InputError(f"{variant} filter at {1 / bin_s:g} bins/s: {error}") from None


def filter_lookahead(variant: FilterVariant, settings: BlockFilterSettings | FirFilterSettings) -> int:
    """Bins by which a filter's output describes the past."""
    if isinstance(settings, FirFilterSettings):
        return settings.lookahead
    return settings.width - 1 - variant_position(variant, settings.width)


@dataclass(frozen=True)
class _Entry:
    """What stands between the input row and the decoder: a mask and the taps of the input filter."""

    masked: Sequence[int]
    taps: npt.NDArray[np.float64] | None

    @property
    def changes_channels(self) -> bool:
        return bool(self.masked) or self.taps is not None

    def emit(self, builder: Builder, bundle: Bundle) -> Slot:
        x = masked_input(builder, bundle, self.masked)
        return x if self.taps is None else builder.fir(x, self.taps, "input_filter")


class Pipeline:
    """A bundle with output filters, ready to run.

    Parameters
    ----------
    bundle : Bundle
    output_filters : OutputFilterSettings, optional
        None takes those that were chosen on the decoder's validation data.
    masked_channels : sequence of int
        Channels, from 0, in whose place the decoder gets a constant, see `neutral_counts`.
    keep_weights : callable, optional
        Gets the weights (P,) of the streaming machine's program, and returns where the same numbers are kept.

    Attributes
    ----------
    variants : tuple of Variant
        What comes out, raw first.
    lookahead : tuple of int
        Per variant, bins between the newest input and the moment that its output describes.
    warm_up : tuple of int
        Per variant, bins after a reset during which a filter still passes its input through.
    channel_means : array (C,) or None
        Mean count per bin of each channel in the data that the decoder was trained on.
    masked : array (C,) of bool
        Which channels are masked.
    output_taps : list of array
        Taps of each output filter, oldest first, in the order of the variants behind raw.

    Raises
    ------
    InputError
        If a filter cannot be designed at the decoder's bin rate, or a masked channel is not there.
    """

    def __init__(
        self,
        bundle: Bundle,
        output_filters: OutputFilterSettings | None = None,
        masked_channels: Sequence[int] = (),
        keep_weights: KeepWeights | None = None,
    ) -> None:
        manifest = bundle.manifest
        filters = manifest.output_filters if output_filters is None else output_filters
        self.bin_s = manifest.bin_s
        self.n_channels = manifest.n_channels
        means = manifest.training.channel_means
        self.channel_means = None if means is None else np.array(means)
        self.outputs = tuple(Output(output.name, output.unit) for output in manifest.outputs)
        self.variants: tuple[Variant, ...] = filters.variants
        self.lookahead = (0, *(filter_lookahead(variant, settings) for variant, settings in filters.items()))
        entry = manifest.input_filter.width - 1 if manifest.input_filter is not None else 0
        self.warm_up = (entry, *(max(entry, settings.width - 1) for _, settings in filters.items()))
        self.output_taps = [filter_taps(variant, settings, self.bin_s) for variant, settings in filters.items()]
        entry_taps = (
            None
            if manifest.input_filter is None
            else filter_taps(manifest.input_filter.variant, manifest.input_filter, self.bin_s)
        )
        self.masked = np.isin(np.arange(self.n_channels), masked_channels)
        entry_row = _Entry(masked_channels, entry_taps)
        self.engine: Engine = (
            _onnx(bundle, entry_row, self.output_taps)
            if bundle.program is None
            else _machine(bundle, entry_row, self.output_taps, keep_weights)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Variants and outputs, (V, K)."""
        return len(self.variants), len(self.outputs)

    def reset(self) -> None:
        """Return to the state before the first bin."""
        self.engine.reset()

    def run(self, counts: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Decode bins (T, C) from the current state; returns (T, V, K)."""
        return self.engine.run(counts).reshape(-1, *self.shape)

    def decode(self, recording: Recording) -> npt.NDArray[np.float32]:
        """Decode a whole recording, with a reset at the start of each segment; returns (T, V, K).

        Raises
        ------
        InputError
            If the recording's channels or bin width are not what the decoder was trained on.
        """
        self.check_recording(recording)
        parts = []
        for start, stop in recording.spans:
            self.reset()
            parts.append(self.run(recording.counts[start:stop]))
        return np.concatenate(parts)

    def check_recording(self, recording: Recording) -> None:
        """Raise an InputError unless the recording fits the decoder."""
        if recording.n_channels != self.n_channels:
            raise InputError(
                f"{recording.source or 'recording'} has {recording.n_channels} channels, the decoder was trained "
                f"on {self.n_channels}"
            )
        if not same_bin_width(recording.bin_s, self.bin_s):
            raise InputError(
                f"{recording.source or 'recording'} has bins of {recording.bin_s * 1e3:g} ms, the decoder was "
                f"trained on {self.bin_s * 1e3:g} ms; read it with that bin width or train anew"
            )


def _machine(
    bundle: Bundle, entry: _Entry, taps: list[npt.NDArray[np.float64]], keep_weights: KeepWeights | None
) -> Executor:
    assert bundle.program is not None
    builder = Builder(bundle.manifest.n_channels)
    _emit_outputs(builder, builder.embed(bundle.program, entry.emit(builder, bundle), "decoder"), taps)
    program = builder.build()
    return Executor(program if keep_weights is None else replace(program, params=keep_weights(program.params)))


def _onnx(bundle: Bundle, entry: _Entry, taps: list[npt.NDArray[np.float64]]) -> OnnxExecutor:
    n_channels, n_outputs = bundle.manifest.n_channels, len(bundle.manifest.outputs)
    back = Builder(n_outputs)
    _emit_outputs(back, back.input(), taps)
    front = None
    if entry.changes_channels:
        builder = Builder(n_channels)
        builder.output(entry.emit(builder, bundle))
        front = Executor(builder.build())
    return OnnxExecutor(bundle.onnx, n_channels, n_outputs, front, Executor(back.build()))


def _emit_outputs(builder: Builder, raw: Slot, taps: list[npt.NDArray[np.float64]]) -> None:
    builder.output(raw)
    for row in taps:
        builder.output(builder.fir(raw, row, "output_filter"))
