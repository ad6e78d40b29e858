"""The compiled loop: as long as samples are regular, they become estimates here, and the interpreter is not asked.

What `services.worker` does with a sample in Python is what is done here; a test holds the two together. Whatever is
not regular (a gap, a sample that is not finite, an output that is not) goes back to Python, and so does, ten times a
second, whatever is not done for every bin.
"""

import math

import numba
import numpy as np

from bmi_decoder.machine.kernels.jit import exact_kernel
from bmi_decoder.machine.kernels.move import copy
from bmi_decoder.machine.live.estimate import publish
from bmi_decoder.machine.live.fields import AT, N_FIELDS, Outcome
from bmi_decoder.machine.live.foreign import call_clock, run_program
from bmi_decoder.machine.live.wait import wait
from bmi_decoder.machine.pointers import float32_at, float64_at, int64_at, uint8_at

_SAMPLE, _NOT_FINITE = int(Outcome.SAMPLE), int(Outcome.NOT_FINITE)
_WINDOW, _LOOK = int(Outcome.WINDOW), int(Outcome.LOOK)


@numba.njit(error_model="numpy")
def live(address):  # type: ignore[no-untyped-def]
    """Decode the samples of the `LiveFields` at this address until something else has to be done; returns why."""
    words = numba.carray(int64_at(address), (N_FIELDS,))
    reals = numba.carray(float64_at(address), (N_FIELDS,))
    until = call_clock(words[AT.clock]) + reals[AT.slice_s]
    while True:
        outcome = wait(address, words, reals)
        if outcome != _SAMPLE or not words[AT.decodes]:
            return outcome
        outcome = _take(words, reals)
        if outcome or words[AT.attention] or reals[AT.arrived] > until:
            return outcome


@exact_kernel
def _take(words, reals):  # type: ignore[no-untyped-def]
    """Make of the sample at hand what it is worth; returns what is left to do."""
    n, stamp = words[AT.n_channels], reals[AT.stamp]
    deviation = (stamp - reals[AT.expected]) / reals[AT.sample_s]
    sample = numba.carray(float32_at(words[AT.sample]), (n,))
    if not -reals[AT.threshold] < deviation < reals[AT.threshold]:
        return _SAMPLE
    if not _finite(sample) and not _mend(words, sample):
        return _SAMPLE
    reals[AT.expected] += reals[AT.sample_s] * (1 + reals[AT.gain] * deviation)
    row = numba.carray(float32_at(words[AT.row]), (n,))
    if words[AT.samples_per_bin] == 1:
        copy(row, 0, sample, 0, n)
    else:
        for c in range(n):
            row[c] += sample[c]
    words[AT.collected] += 1
    outcome = 0
    if words[AT.collected] == words[AT.samples_per_bin]:
        outcome = _end_bin(words, reals, row, stamp)
    words[AT.taken] += 1
    reals[AT.placed] = reals[AT.arrived]
    lag = reals[AT.arrived] - stamp
    reals[AT.quickest] = min(reals[AT.quickest], lag)
    if lag - reals[AT.quickest] > reals[AT.late_s] or reals[AT.arrived] > reals[AT.turn]:
        outcome |= _LOOK
    return outcome


@exact_kernel
def _end_bin(words, reals, row, stamp):  # type: ignore[no-untyped-def]
    """Decode the row and publish it, and begin the next bin."""
    words[AT.bins_in] += 1
    reals[AT.last_whole] = stamp
    if words[AT.holds]:
        held = numba.carray(float32_at(words[AT.held]), (row.size,))
        copy(held, 0, row, 0, row.size)
    run_program(words[AT.call])
    outputs = numba.carray(float32_at(words[AT.outputs]), (words[AT.n_outputs],))
    broken = not _finite(outputs)
    outcome = publish(words, reals, outputs, stamp, broken)
    if broken:
        words[AT.bins_invalid] += 1
        outcome |= _NOT_FINITE
    if _add_to_window(words, row):
        outcome |= _WINDOW
    reals[AT.last_end] = stamp
    words[AT.next_bin] += 1
    words[AT.collected] = 0
    if words[AT.samples_per_bin] > 1:
        for c in range(row.size):
            row[c] = 0
    return outcome


@exact_kernel
def _add_to_window(words, row):  # type: ignore[no-untyped-def]
    """Take the row into what is known of the channels; returns whether their window is full."""
    sums = numba.carray(float32_at(words[AT.sums]), (row.size,))
    least = numba.carray(float32_at(words[AT.least]), (row.size,))
    most = numba.carray(float32_at(words[AT.most]), (row.size,))
    for c in range(row.size):
        sums[c] += row[c]
        least[c] = min(least[c], row[c])
        most[c] = max(most[c], row[c])
    words[AT.window_bins] += 1
    return words[AT.window_bins] == words[AT.window]


@exact_kernel
def _finite(values):  # type: ignore[no-untyped-def]
    """Whether all are; counted, as an early exit could not be vectorised."""
    broken = np.int32(0)
    for i in range(values.size):
        broken += np.int32(values[i] - values[i] != 0)
    return broken == 0


@exact_kernel
def _mend(words, sample):  # type: ignore[no-untyped-def]
    """Put zeros where masked channels are not finite; False, and nothing changed, if others are not."""
    masked = numba.carray(uint8_at(words[AT.masked]), (sample.size,))
    for c in range(sample.size):
        if not masked[c] and not math.isfinite(sample[c]):
            return False
    for c in range(sample.size):
        if not math.isfinite(sample[c]):
            sample[c] = 0
    return True
