"""What the stamps and arrivals of a watched stream say: losses, rate, clock, jitter."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from services.certify.finding import Finding, judged
from services.certify.limits import Limits
from services.certify.watch import Watched
from services.ingest.grid import DROP, RESTART, SampleGrid
from services.ingest.monitor import FOREIGN_S
from services.percentiles import percentiles

_MAX_GAP_S = 1.0
_FEWEST = 10
"""Samples from which rate and jitter can be told."""


def check_timing(name: str, rate_hz: float, watched: Watched, limits: Limits) -> list[Finding]:
    """Judge a stream that is received at this nominal rate; at 0 it has a clock only."""
    findings = []
    if watched.problem:
        remedy = "its rig or the network broke off: look there, and certify again"
        findings.append(Finding(name, "samples", "fail", watched.problem, remedy))
    elif rate_hz > 0 and not len(watched.stamps):
        remedy = "it is there but sends nothing: start the acquisition in the rig's program"
        findings.append(Finding(name, "samples", "fail", "none came", remedy))
    if len(watched.offsets_s):
        findings.append(_clock(name, watched.offsets_s, limits))
    if rate_hz > 0 and len(watched.stamps):
        findings += _grid(name, rate_hz, watched, limits)
    return findings


def _clock(name: str, offsets_s: npt.NDArray[np.float64], limits: Limits) -> Finding:
    movement_ms = float(np.ptp(offsets_s)) * 1e3
    return judged(
        name,
        "clock",
        f"offset {np.median(offsets_s) * 1e3:.3f} ms, moved by {movement_ms:.3f} ms in {len(offsets_s)} estimates",
        "fail" if movement_ms > limits.clock_movement_ms else None,
        "stamps move with it: connect rig and decoder by cable through one switch, and end what loads that network",
        offset_s=float(np.median(offsets_s)),
        movement_ms=movement_ms,
        estimates=len(offsets_s),
    )


def _grid(name: str, rate_hz: float, watched: Watched, limits: Limits) -> list[Finding]:
    grid, slots, dropped, restarts, slot = SampleGrid(1 / rate_hz, _MAX_GAP_S), [], 0, 0, -1
    for stamp in watched.stamps.tolist():
        place = grid.place(stamp)
        if place == DROP:
            dropped += 1
            slots.append(-1)
            continue
        restarts += place == RESTART
        slot += 1 + max(place, 0)
        slots.append(slot)
    kept = np.array(slots) >= 0
    lost = slot + 1 - int(kept.sum())
    bad = [f"{n} {what}" for n, what in ((dropped, "doubled or out of order"), (restarts, "clock jumps")) if n]
    wrong = lost > limits.lost_samples or dropped or restarts
    findings = [
        judged(
            name,
            "samples",
            ", ".join([f"{kept.sum()} in {watched.seconds:.1f} s, {lost} lost", *bad]),
            "fail" if wrong else None,
            "stamp with the device's sample clock, not when pushing; if samples are truly lost, look at the rig's load "
            "and at the network",
            received=int(kept.sum()),
            lost=lost,
            dropped=dropped,
            restarts=restarts,
        )
    ]
    if kept.sum() < _FEWEST or restarts:
        return findings
    sample_s, jitter = regular_grid(watched.stamps, np.array(slots))
    lags = watched.arrivals - watched.stamps
    behind_s = float(np.median(lags))
    if abs(behind_s) > FOREIGN_S:
        where = "ahead of" if behind_s < 0 else "behind"
        what = f"{abs(behind_s):.0f} s {where} the LSL clock: they are of another one"
        remedy = "stamp with LSL's local_clock(), or no stream can be aligned with another, and no latency be told"
        findings.append(Finding(name, "stamps", "fail", what, remedy, {"behind_s": behind_s}))
    return [
        *findings,
        _rate(name, rate_hz, sample_s, limits),
        _jitter(name, rate_hz, jitter, limits),
        _lag(name, rate_hz, lags),
    ]


def regular_grid(
    stamps: npt.NDArray[np.float64], slots: npt.NDArray[np.int64]
) -> tuple[float, npt.NDArray[np.float64]]:
    """The time between samples that explains stamps best, and how far each is from that grid.

    A rate that is wrong looks like losses and losses look like a wrong rate, so samples are numbered in three ways: as
    a session would, as if none were lost, and by the usual time between two. A line is laid through each, and the one
    that leaves least is right.

    Parameters
    ----------
    stamps : array (n,)
        Seconds.
    slots : array (n,)
        Where a session puts each sample; negative for none.
    """
    intervals, kept = np.diff(stamps), slots >= 0
    numberings = [(slots[kept], stamps[kept]), (np.arange(len(stamps)), stamps)]
    usual = float(np.median(intervals))
    if usual > 0:
        numberings.append((np.concatenate(([0], np.cumsum(np.rint(intervals / usual)))), stamps))
    lines = []
    for places, its in numberings:
        sample_s, start = np.polyfit(places, its - its[0], 1)
        lines.append((float(sample_s), np.abs(its - its[0] - start - sample_s * places)))
    return min(lines, key=lambda line: float(np.mean(line[1] ** 2)))


def _rate(name: str, rate_hz: float, sample_s: float, limits: Limits) -> Finding:
    actual = 1 / sample_s if sample_s > 0 else math.nan
    off = actual / rate_hz - 1
    return judged(
        name,
        "rate",
        f"{actual:.3f} Hz, {off * 1e6:+.0f} ppm from nominal",
        None if abs(off) <= limits.rate else "fail",
        f"declare the rate at which samples come, {actual:.3g} Hz, or correct the rig's clock",
        actual_hz=actual,
        nominal_hz=rate_hz,
    )


def _jitter(name: str, rate_hz: float, jitter_s: npt.NDArray[np.float64], limits: Limits) -> Finding:
    figures = percentiles(jitter_s * 1e3, digits=4)
    share = figures["p99"] * rate_hz / 1e3
    p50, p99, most = (f"{figures[key]:.3f} ms" for key in ("p50", "p99", "max"))
    return judged(
        name,
        "jitter of stamps",
        f"p50 {p50}, p99 {p99} ({share:.0%} of a sample), max {most}",
        "fail" if share > limits.stamp_jitter else None,
        "stamp with the device's sample clock, not with the moment of pushing",
        jitter_ms=figures,
    )


def _lag(name: str, rate_hz: float, lags_s: npt.NDArray[np.float64]) -> Finding:
    figures = percentiles((lags_s - lags_s.min()) * 1e3, digits=4)
    p50, p99, most = (f"{figures[key]:.3f} ms" for key in ("p50", "p99", "max"))
    bursts = figures["p50"] * rate_hz / 1e3 > 1
    return judged(
        name,
        "jitter of arrival",
        f"p50 {p50}, p99 {p99}, max {most} behind the quickest sample",
        "warn" if bursts else None,
        "samples come in bursts and wait for each other: give the rig's outlet chunk_size=1, and push each at once",
        lag_ms=figures,
    )
