"""An estimate on its way out: its message, and its record; docs/reference/wire.md has the former's layout."""

import math

import numba

from bmi_decoder.machine.kernels.jit import exact_kernel
from bmi_decoder.machine.kernels.move import copy
from bmi_decoder.machine.live.fields import AT, Outcome
from bmi_decoder.machine.live.foreign import call_clock, call_push, call_send, publish_word
from bmi_decoder.machine.pointers import float32_at, float64_at, int64_at

_SEND_FAILED, _PUSH_FAILED = int(Outcome.SEND_FAILED), int(Outcome.PUSH_FAILED)

_RECORD_WORDS = 8
"""Sequence, bin, five times, flags with revision; the outputs stand behind them."""

_FLAGS = 0xFFFFFFFF
"""In the word that also has the revision."""

_COUNTERS = 7
"""Written, in, decoded, lost, duplicated, invalid, time of the last bin."""


@exact_kernel
def publish(words, reals, outputs, stamp, broken):  # type: ignore[no-untyped-def]
    """Send the outputs, which stand in the message, and record them."""
    t_decoded = call_clock(words[AT.clock])
    flags = words[AT.invalid_flag] if broken else 0
    since = words[AT.since_reset]
    if since < words[AT.longest_warm_up]:
        flags |= words[AT.warm_up_flag]
    flags |= words[AT.pending]
    words[AT.pending] = 0
    words[AT.since_reset] = since + 1
    flags |= words[AT.revision] << 32
    n_header, n_times = words[AT.header_words], words[AT.n_variants]
    message = numba.carray(int64_at(words[AT.message]), (n_header,))
    times = numba.carray(float64_at(words[AT.message]), (n_header + n_times,))
    lookahead = numba.carray(int64_at(words[AT.lookahead]), (n_times,))
    warm_up = numba.carray(int64_at(words[AT.warm_up]), (n_times,))
    for k in range(n_times):
        # A filter whose block is not full passes its input through.
        times[n_header + k] = stamp if since < warm_up[k] else stamp - lookahead[k] * reals[AT.bin_s]
    t_publish = call_clock(words[AT.clock])
    message[1], message[2], message[5] = words[AT.sequence], words[AT.next_bin], flags
    times[3], times[4] = stamp, t_publish
    sent = call_send(words[AT.send], words[AT.socket], words[AT.message], words[AT.message_size])
    _record(words, reals, outputs, stamp, t_decoded, t_publish, flags)
    words[AT.sequence] += 1
    reals[AT.last_bin_at] = t_publish
    _count(words, reals)
    if sent < 0:
        return _SEND_FAILED
    return _push(words, outputs, stamp, flags & _FLAGS) if words[AT.outlets] else 0


@exact_kernel
def _push(words, outputs, stamp, flags):  # type: ignore[no-untyped-def]
    """Push each variant's outputs, and the flags, to its LSL outlet. Last, as it wakes receivers up."""
    n_variants = words[AT.n_variants]
    n = outputs.size // n_variants
    outlets = numba.carray(int64_at(words[AT.outlets]), (n_variants,))
    shifts = numba.carray(float64_at(words[AT.shifts]), (n_variants,))
    row = numba.carray(float32_at(words[AT.pushed]), (n + 1,))
    row[n] = flags
    for k in range(n_variants):
        copy(row, 0, outputs, k * n, n)
        failed = call_push(words[AT.push], outlets[k], words[AT.pushed], stamp + shifts[k])
        if failed:
            words[AT.error] = failed
            return _PUSH_FAILED
    return 0


@exact_kernel
def _record(words, reals, outputs, stamp, t_decoded, t_publish, flags):  # type: ignore[no-untyped-def]
    """Store one bin in the flight recorder. Its number follows at once: a reader must know what was overwritten."""
    at = words[AT.records] + words[AT.written] % words[AT.n_records] * words[AT.record_size]
    record = numba.carray(int64_at(at), (_RECORD_WORDS,))
    times = numba.carray(float64_at(at), (_RECORD_WORDS,))
    values = numba.carray(float32_at(at + 8 * _RECORD_WORDS), (words[AT.n_values],))
    record[0], record[1], record[7] = words[AT.sequence], words[AT.next_bin], flags
    times[2], times[3], times[4] = stamp, reals[AT.arrived], t_decoded
    times[5], times[6] = t_publish, call_clock(words[AT.clock])
    for k in range(values.size):
        values[k] = outputs[k] if k < outputs.size else math.nan
    words[AT.written] += 1
    publish_word(words[AT.counters], words[AT.written])


@exact_kernel
def _count(words, reals):  # type: ignore[no-untyped-def]
    """Publish the counters that change here."""
    counters = numba.carray(int64_at(words[AT.counters]), (_COUNTERS,))
    times = numba.carray(float64_at(words[AT.counters]), (_COUNTERS,))
    counters[1], counters[2], times[6] = words[AT.bins_in], words[AT.sequence], reals[AT.last_bin_at]
