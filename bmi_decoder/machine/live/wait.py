"""Waits for the next sample so that the thread is awake, and its caches warm, when it comes."""

import numba

from bmi_decoder.machine.kernels.jit import exact_kernel
from bmi_decoder.machine.kernels.move import copy
from bmi_decoder.machine.live.fields import AT, REHEARSAL_WEIGHT, Outcome
from bmi_decoder.machine.live.foreign import call_clock, call_pull, call_send, run_program
from bmi_decoder.machine.pointers import float32_at

_MARGIN_S = 150e-6
"""Between the end of a rehearsal and the sample: what the system takes to wake the thread, and some jitter."""

_LATE_S = 500e-6
"""How long a sample that is overdue is awaited without sleeping."""

_SHARE = 0.5
"""Of the time between two samples, the part that preparing and its margin may take; beyond it there is none."""

_REHEARSAL_SHARE = 0.125
"""The part of it that a rehearsal and its margin may take.

At 500 Hz a rehearsal halves the time from sample to estimate. At 1 kHz caches are warmer anyway: it gains 10 us there,
and wakes the thread a thousand times more often, which costs a third more processor time and as much latency.
"""

_SLEW = 5e-4
"""Seconds per second by which stamps are taken nearer to a new measurement of the clock's offset.

Clocks drift by a tenth of that. A measurement errs by more than a sample on a busy host: a step would look like a gap,
and the step back like a sample that came twice.
"""

_STEP_S = 0.1
"""From which difference on that would take too long: a clock has stood still, or has been set."""

_REHEARSE, _PULL_FAILED = int(Outcome.REHEARSE), int(Outcome.PULL_FAILED)
_NONE, _SAMPLE = 0, int(Outcome.SAMPLE)


@exact_kernel
def wait(address, words, reals):  # type: ignore[no-untyped-def]
    """Wait for a sample, until a time-out at most; the thread rehearses shortly before it is due.

    A sample is due one period after the one before it came. The rehearsal begins so early that it ends a margin
    before that; how long it takes is measured each time. Where the thread is woken too late for that there is none.
    """
    if not words[AT.prepared] and (words[AT.rehearses] or words[AT.busy_polls]):
        lead = reals[AT.took] + _MARGIN_S
        share = _SHARE if words[AT.busy_polls] else _REHEARSAL_SHARE
        before = reals[AT.due] - lead - call_clock(words[AT.clock])
        if lead <= share * reals[AT.sample_s] and 0 < before < reals[AT.timeout_s]:
            outcome = _pull(address, words, reals, before)
            if outcome != _NONE:
                return outcome
            words[AT.prepared] = 1
            quick = lead <= _REHEARSAL_SHARE * reals[AT.sample_s]
            if quick and words[AT.rehearses] and words[AT.collected] + 1 == words[AT.samples_per_bin]:
                began = call_clock(words[AT.clock])
                # Woken so late, as happens where others want the processor, it would only hold up the sample.
                if began + reals[AT.took] < reals[AT.due]:
                    if not words[AT.decodes]:
                        return _REHEARSE
                    _rehearse(words)
                    reals[AT.took] += REHEARSAL_WEIGHT * (call_clock(words[AT.clock]) - began - reals[AT.took])
        else:
            # Too fast a stream to prepare for, late already, or not begun.
            reals[AT.took] *= 0.99
    if words[AT.prepared] and words[AT.busy_polls]:
        last = reals[AT.due] + _LATE_S
        while call_clock(words[AT.clock]) < last:
            outcome = _pull(address, words, reals, 0.0)
            if outcome != _NONE:
                return outcome
    outcome = _pull(address, words, reals, reals[AT.timeout_s])
    if outcome == _NONE:
        words[AT.prepared] = 0
        if call_clock(words[AT.clock]) >= reals[AT.due]:
            # Nobody knows when it goes on.
            reals[AT.due] = 0.0
    return outcome


@exact_kernel
def _pull(address, words, reals, timeout_s):  # type: ignore[no-untyped-def]
    """Pull one sample, and note when it came."""
    words[AT.error] = 0
    got = call_pull(
        words[AT.pull],
        words[AT.inlet],
        words[AT.sample],
        address + 8 * AT.raw_stamp,
        words[AT.n_channels],
        timeout_s,
        address + 8 * AT.error,
    )
    if words[AT.error]:
        return _PULL_FAILED
    if not got:
        return _NONE
    reals[AT.arrived] = call_clock(words[AT.clock])
    _follow_clock(reals)
    reals[AT.stamp] = reals[AT.raw_stamp] + reals[AT.offset]
    reals[AT.due] = reals[AT.arrived] + reals[AT.sample_s]
    words[AT.prepared] = 0
    return _SAMPLE


@exact_kernel
def _follow_clock(reals):  # type: ignore[no-untyped-def]
    change, most = reals[AT.measured_offset] - reals[AT.offset], _SLEW * reals[AT.sample_s]
    if abs(change) < _STEP_S:
        change = min(max(change, -most), most)
    reals[AT.offset] += change


@exact_kernel
def _rehearse(words):  # type: ignore[no-untyped-def]
    """Do in vain what the next bin takes: its code, weights and message are in the processor's caches afterwards.

    Between two bins of a real stream others use the caches, and a cold bin takes several times as long.
    """
    arena = numba.carray(float32_at(words[AT.arena]), (words[AT.n_arena],))
    scratch = numba.carray(float32_at(words[AT.scratch]), (words[AT.n_arena],))
    copy(scratch, 0, arena, 0, arena.size)
    run_program(words[AT.rehearsal])
    # To nobody.
    call_send(words[AT.send], words[AT.idle_socket], words[AT.message], words[AT.message_size])
