"""Times one call, back to back or at a real cadence: the loop that every runtime in a benchmark shares."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TextIO

import numpy as np
import numpy.typing as npt

_FEW = 20
_MEAN_RATE_HZ = 20.0
_PREPARED = 1024
_REHEARSED_BEFORE_S = 2e-4

N_CHECKED = 40
"""Bins whose outputs a stepping process shows first, so that only runtimes that agree are compared."""


class Stepper(Protocol):
    """One decoder in one runtime, with everything allocated."""

    row: npt.NDArray[np.float32]
    """The bin to decode, (C,)."""

    def step(self) -> None:
        """Decode the row: what is timed."""

    def rehearse(self) -> None:
        """What a worker does shortly before a bin is due; nothing in runtimes of others."""

    def output(self) -> npt.NDArray[np.float32]:
        """A copy of the newest output, (K,)."""


def probe_counts(n_channels: int, bin_s: float) -> npt.NDArray[np.float32]:
    """Poisson counts of 20 spikes/s, (1024, C), the same in every process."""
    return np.random.default_rng(0).poisson(_MEAN_RATE_HZ * bin_s, (_PREPARED, n_channels)).astype(np.float32)


def time_calls(
    call: Callable[[], object],
    n: int,
    period_s: float = 0.0,
    prepare: Callable[[int], object] = lambda k: None,
    between: Callable[[], object] = lambda: None,
    rehearse: Callable[[], object] | None = None,
) -> npt.NDArray[np.int64]:
    """Time `n` calls, each by itself.

    Parameters
    ----------
    call : callable
        What is timed.
    n : int
        Calls that are timed; a few come before them.
    period_s : float
        0 makes one call after the other. Otherwise each waits, asleep, until it is due.
    prepare : callable
        Called with the number of the call right before it, not timed: an inlet writes the bin where it is read.
    between : callable
        Called after each call, not timed: what else the processor does between two bins.
    rehearse : callable, optional
        Called shortly before each call is due, not timed, as a worker does.

    Returns
    -------
    array (n,) of int64
        Nanoseconds.
    """
    took = np.empty(n, np.int64)
    clock = time.perf_counter_ns
    with _no_collection():
        began = time.monotonic()
        for k in range(-_FEW, n):
            if period_s:
                between()
                due = began + (k + _FEW + 1) * period_s
                if rehearse is not None:
                    _sleep_until(due - _REHEARSED_BEFORE_S)
                    rehearse()
                _sleep_until(due)
            prepare(k)
            started = clock()
            call()
            ended = clock()
            if k >= 0:
                took[k] = ended - started
    return took


def walk(n_bytes: int) -> Callable[[], object]:
    """Something else that uses the cache: reads `n_bytes` of memory of its own."""
    return np.ones(max(1, n_bytes // 4), np.float32).sum


def serve(stepper: Stepper, counts: npt.NDArray[np.float32], orders: TextIO = sys.stdin) -> None:
    """Be a stepping process, until standard input ends.

    Prints the outputs of the first `N_CHECKED` bins as one JSON line. Then answers each line, a JSON object with
    ``n``, ``period_s``, ``walk_bytes`` and ``rehearse``, with a list of the nanoseconds of `n` steps.
    """
    prepare = writer(stepper, counts)
    outputs = []
    for k in range(N_CHECKED):
        prepare(k)
        stepper.step()
        outputs.append(stepper.output().tolist())
    print(json.dumps(outputs), flush=True)
    for line in orders:
        order: dict[str, Any] = json.loads(line)
        rehearse = stepper.rehearse if order["rehearse"] else None
        took = time_calls(stepper.step, order["n"], order["period_s"], prepare, walk(order["walk_bytes"]), rehearse)
        print(json.dumps(took.tolist()), flush=True)


def writer(stepper: Stepper, counts: npt.NDArray[np.float32]) -> Callable[[int], None]:
    """What writes the next bin into a stepper's row."""
    row, n = stepper.row, len(counts)

    def write(k: int) -> None:
        row[:] = counts[k % n]

    return write


def _sleep_until(moment: float) -> None:
    wait = moment - time.monotonic()
    if wait > 0:
        time.sleep(wait)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """As in the worker, no garbage is collected while a stream runs."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
