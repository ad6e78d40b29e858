"""Pulls samples from the connection to an LSL outlet, in the thread that decodes them.

liblsl has a thread that reads them, a queue, and a wake-up of the thread that waits at the queue's end. That is the
longest part of a sample's way through a process that decodes it in microseconds.
"""

import math

import numba
import numpy as np

from bmi_decoder.machine.kernels.jit import exact_kernel
from bmi_decoder.machine.live.feed_fields import (
    AT,
    DEDUCED,
    DOUBLE64,
    FLOAT32,
    INT8,
    INT16,
    INT32,
    LOST,
    MALFORMED,
    N_FIELDS,
    TRANSMITTED,
)
from bmi_decoder.machine.live.foreign import (
    call_clock,
    call_error_number,
    call_poll,
    call_receive,
    copy_bytes,
    move_bytes,
)
from bmi_decoder.machine.pointers import (
    float32_at,
    float64_at,
    int8_at,
    int16_at,
    int32_at,
    int64_at,
    uint8_at,
)

_READ_EVERY_S = 0.1
"""Whoever decodes too slowly reads at least so often, and finds what is too old where it can be dropped."""

_MOST_READS = 1024
"""In a row, for a sender that is faster than they are."""

_AGAIN, _INTERRUPTED = 11, 4
"""``EAGAIN`` and ``EINTR``."""

_NOW = 0x40
"""``MSG_DONTWAIT``."""


@numba.njit(error_model="numpy")
def pull(address, sample, stamp, n, one, timeout_s, error):  # type: ignore[no-untyped-def]
    """What ``lsl_pull_chunk_f`` does for one sample, with the address of `FeedFields` in the place of an inlet."""
    words = numba.carray(int64_at(address), (N_FIELDS,))
    reals = numba.carray(float64_at(address), (N_FIELDS,))
    now = call_clock(words[AT.clock])
    until = now + timeout_s
    got = 0
    if words[AT.end] > words[AT.begin] and now - reals[AT.read_at] > _READ_EVERY_S:
        got = _read(words, reals, now)
    while got >= 0:
        size = _next_size(words)
        if size > 0:
            _take(words, reals, size, sample, n)
            numba.carray(float64_at(stamp), (1,))[0] = reals[AT.stamp]
            return n
        if size < 0:
            numba.carray(int32_at(error), (1,))[0] = MALFORMED
            return 0
        if timeout_s > 0.0 and not _wait(words, address, until - now):
            return 0
        now = call_clock(words[AT.clock])
        got = _read(words, reals, now)
        if got == 0 and now >= until:
            return 0
    numba.carray(int32_at(error), (1,))[0] = LOST
    return 0


@exact_kernel
def _wait(words, address, left_s):  # type: ignore[no-untyped-def]
    """Sleep until something has come; whether it has. A signal ends the wait too: Python is to look at it."""
    whole = math.floor(max(left_s, 0.0))
    words[AT.seconds] = np.int64(whole)
    words[AT.nanoseconds] = np.int64((max(left_s, 0.0) - whole) * 1e9)
    return call_poll(words[AT.poll], address + 8 * AT.watched, address + 8 * AT.seconds) > 0


@exact_kernel
def _read(words, reals, now):  # type: ignore[no-untyped-def]
    """Take what has come into the buffer; returns how many bytes that were, or -1 if the connection has ended.

    Where more has come than is kept, the oldest samples are dropped: the gap tells, and whoever is too slow falls
    behind no further.
    """
    reals[AT.read_at] = now
    total = 0
    for _ in range(_MOST_READS):
        _make_room(words)
        room = words[AT.capacity] - words[AT.end]
        got = call_receive(words[AT.receive], words[AT.descriptor], words[AT.buffer] + words[AT.end], room, _NOW)
        if got <= 0:
            if got < 0:
                number = call_error_number(words[AT.error_number])
                if number in (_AGAIN, _INTERRUPTED):
                    return total
            # What came before the end is still decoded.
            return total if total or _next_size(words) else -1
        total += got
        words[AT.end] += got
        if got < room:
            return total
        while words[AT.end] - words[AT.begin] > words[AT.kept]:
            size = _next_size(words)
            if size <= 0:
                return total
            _pass(words, reals, size)
    return total


@exact_kernel
def _make_room(words):  # type: ignore[no-untyped-def]
    """Move what is left to the buffer's beginning."""
    begin, left = words[AT.begin], words[AT.end] - words[AT.begin]
    if begin:
        move_bytes(words[AT.buffer], words[AT.buffer] + begin, left)
        words[AT.begin], words[AT.end] = 0, left


@exact_kernel
def _next_size(words):  # type: ignore[no-untyped-def]
    """Bytes of the sample at hand: 0 if it has not come whole, -1 if it is none."""
    there = words[AT.end] - words[AT.begin]
    if there == 0:
        return 0
    tag = numba.carray(uint8_at(words[AT.buffer] + words[AT.begin]), (1,))[0]
    if tag != DEDUCED and tag != TRANSMITTED:
        return -1
    size = words[AT.n_bytes] + (9 if tag == TRANSMITTED else 1)
    return size if size <= there else 0


@exact_kernel
def _pass(words, reals, size):  # type: ignore[no-untyped-def]
    """Go on behind the sample at hand, with its stamp; returns the address of its values."""
    at = words[AT.buffer] + words[AT.begin]
    words[AT.begin] += size
    if size > words[AT.n_bytes] + 1:
        stamp = numba.carray(float64_at(words[AT.values]), (1,))
        copy_bytes(words[AT.values], at + 1, 8)
        reals[AT.stamp] = stamp[0]
        return at + 9
    reals[AT.stamp] += reals[AT.sample_s]
    return at + 1


@exact_kernel
def _take(words, reals, size, sample, n):  # type: ignore[no-untyped-def]
    """Write the sample at hand where it is wanted, as float32."""
    source = _pass(words, reals, size)
    form, aligned = words[AT.format], words[AT.values]
    if form == FLOAT32:
        copy_bytes(sample, source, words[AT.n_bytes])
        return
    copy_bytes(aligned, source, words[AT.n_bytes])
    to = numba.carray(float32_at(sample), (n,))
    if form == DOUBLE64:
        _convert(to, numba.carray(float64_at(aligned), (n,)))
    elif form == INT32:
        _convert(to, numba.carray(int32_at(aligned), (n,)))
    elif form == INT16:
        _convert(to, numba.carray(int16_at(aligned), (n,)))
    elif form == INT8:
        _convert(to, numba.carray(int8_at(aligned), (n,)))
    else:
        _convert(to, numba.carray(int64_at(aligned), (n,)))


@exact_kernel
def _convert(to, values):  # type: ignore[no-untyped-def]
    for c in range(to.size):
        to[c] = values[c]
