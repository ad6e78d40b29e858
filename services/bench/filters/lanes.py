"""Ways to filter one bin: the live machine's, the library's, and scipy over the whole block again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import BmiError
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from filters import BlockBidirectional, bessel_sos

MACHINE, LIBRARY, SCIPY = "machine", "library", "filtfilt"

_ORDER, _CUTOFF_HZ = 4, 6.25
_TOLERANCES = {MACHINE: 1e-4, LIBRARY: 1e-9, SCIPY: 1e-9}


@dataclass(frozen=True)
class Lane:
    """One way to filter.

    Attributes
    ----------
    write : callable
        Takes a bin (C,), in the place where an inlet would write it.
    step : callable
        Filters the newest bin: what is timed.
    output : callable
        The filtered values (C,), a copy.
    """

    write: Callable[[npt.NDArray[np.float32]], None]
    step: Callable[[], object]
    output: Callable[[], npt.NDArray[np.floating]]


def design(n_channels: int, width: int, rate_hz: float) -> BlockBidirectional:
    """The low-latency filter of the seed paper: order 4, 6.25 Hz."""
    return BlockBidirectional.from_variant(
        "low_latency", cutoff_hz=_CUTOFF_HZ, rate_hz=rate_hz, order=_ORDER, width=width, n_channels=n_channels
    )


def machine_program(n_channels: int, width: int, rate_hz: float) -> Executor:
    """The same filter as the streaming machine runs it in a live session."""
    builder = Builder(n_channels)
    builder.output(builder.fir(builder.input(), design(n_channels, width, rate_hz).taps))
    return Executor(builder.build())


def lanes(n_channels: int, width: int, rate_hz: float) -> dict[str, Lane]:
    """All ways, for one size."""
    return {
        MACHINE: _machine(n_channels, width, rate_hz),
        LIBRARY: _library(n_channels, width, rate_hz),
        SCIPY: _filtfilt(n_channels, width, rate_hz),
    }


def _machine(n_channels: int, width: int, rate_hz: float) -> Lane:
    executor = machine_program(n_channels, width, rate_hz)
    x, y = executor.rows()

    def write(row: npt.NDArray[np.float32]) -> None:
        x[0] = row

    return Lane(write, lambda: executor.run_into(x, y), lambda: y[0].copy())


def _library(n_channels: int, width: int, rate_hz: float) -> Lane:
    smooth = design(n_channels, width, rate_hz)
    x, newest = np.zeros(n_channels), [np.zeros(n_channels)]

    def write(row: npt.NDArray[np.float32]) -> None:
        x[:] = row

    def step() -> None:
        newest[0] = smooth.step(x)

    return Lane(write, step, lambda: newest[0].copy())


def _filtfilt(n_channels: int, width: int, rate_hz: float) -> Lane:
    """What one would write first: keep the block, and filter all of it again for every bin."""
    # Not above: every command, and `--help`, would wait for it.
    from scipy import signal

    b, a = signal.sos2tf(bessel_sos(_ORDER, _CUTOFF_HZ, rate_hz))
    block, newest = np.zeros((width, n_channels)), [np.zeros(n_channels)]

    def write(row: npt.NDArray[np.float32]) -> None:
        block[:-1] = block[1:]
        block[-1] = row

    def step() -> None:
        newest[0] = signal.filtfilt(b, a, block, axis=0, padtype="odd", padlen=3 * (_ORDER + 1))[-1]

    return Lane(write, step, lambda: newest[0].copy())


def check_agreement(found: dict[str, Lane], rows: npt.NDArray[np.float32]) -> None:
    """Filter these bins, at least a block of them, in every way.

    Raises
    ------
    BmiError
        If the last outputs differ: then the ways did not do the same work.
    """
    for row in rows:
        for lane in found.values():
            lane.write(row)
            lane.step()
    reference = found[SCIPY].output()
    for name, lane in found.items():
        worst = float(np.abs(lane.output() - reference).max())
        if not worst <= _TOLERANCES[name] * max(1.0, float(np.abs(reference).max())):
            raise BmiError(f"filter {name!r} differs from scipy.signal.filtfilt over the block by {worst:.3g}")
