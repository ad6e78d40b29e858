"""The timed loop: a real worker with the decoder, fed over loopback, beside a relay that decodes nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.bundle import Bundle
from services.bench.latency.lanes import FLOOR, floor_lane, worker_lane
from services.bench.latency.rounds import Round, measure
from services.certify.finding import Finding, judged
from services.certify.limits import Limits
from services.percentiles import percentiles

DECODER = "decoder"


@dataclass(frozen=True)
class LoopFacts:
    """What was measured.

    Attributes
    ----------
    decoder : str
        For people.
    n_channels : int
    bin_s : float
    rounds : sequence of Round
        One of the decoder, one of the relay.
    """

    decoder: str
    n_channels: int
    bin_s: float
    rounds: Sequence[Round]

    def lane(self, name: str) -> Round:
        """The round of the `decoder`, or of the relay."""
        return next(one for one in self.rounds if one.lane == name)


def loop_facts(decoder: str, bundle: Bundle, seconds: float) -> LoopFacts:
    """Measure the decoder and the relay, for so long each.

    Raises
    ------
    BmiError
        If a process ends, or passes nothing on.
    """
    manifest, stream = bundle.manifest, f"certify-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="bmi-decoder-certify-") as name:
        folder = Path(name)
        lanes = [worker_lane(DECODER, stream, bundle, folder), floor_lane(f"{stream}-floor")]
        rounds = measure(manifest.n_channels, 1 / manifest.bin_s, lanes, 1, seconds, folder)
    return LoopFacts(decoder, manifest.n_channels, manifest.bin_s, rounds)


def check_loop(facts: LoopFacts, limits: Limits) -> list[Finding]:
    """Judge the latency from push to reception against the bin width."""
    ours, floor = facts.lane(DECODER), facts.lane(FLOOR)
    deadline_us = limits.deadline * facts.bin_s * 1e6
    n, late = len(ours.latency_us), _late(ours.latency_us, deadline_us)
    share = late / n if n else 1.0
    too_many = share > limits.deadline_misses
    floor_share = _late(floor.latency_us, deadline_us) / max(1, len(floor.latency_us))
    host = "a relay that decodes nothing was late as well, so it is this host: see docs/how-to/tune-a-host.md"
    ours_alone = (
        "a relay that decodes nothing was in time: choose a smaller decoder, or wider bins; see 'bench decoders'"
    )
    remedy = host if floor_share > limits.deadline_misses else ours_alone
    deadline = judged(
        "decoder",
        "deadline",
        f"{late} of {n} estimates later than {deadline_us / 1e3:g} ms ({share:.2%})",
        "fail" if too_many else "warn" if late else None,
        remedy,
        deadline_ms=deadline_us / 1e3,
        late=late,
        estimates=n,
        relay_late=_late(floor.latency_us, deadline_us),
    )
    lost = judged(
        "decoder",
        "losses",
        f"{ours.n_missing} of {n + ours.n_missing} samples without an estimate in time to be counted",
        "fail" if ours.n_missing else None,
        "the worker did not keep up: see what else runs here, and docs/how-to/tune-a-host.md",
        missing=ours.n_missing,
    )
    return [_latency(facts, ours, floor), deadline, lost]


def _latency(facts: LoopFacts, ours: Round, floor: Round) -> Finding:
    shape = f"{facts.decoder}, {facts.n_channels} channels, {facts.bin_s * 1e3:g} ms bins"
    figures: dict[str, Any] = {"decoder": facts.decoder, "n_channels": facts.n_channels, "bin_s": facts.bin_s}
    figures["latency_us"], figures["relay_us"] = _percentiles(ours.latency_us), _percentiles(floor.latency_us)
    if not len(ours.latency_us):
        return Finding("decoder", "latency", "fail", f"{shape}: no estimate came", "see the losses below", figures)
    p = figures["latency_us"]
    words = f"p50 {p['p50']:.0f} us, p99 {p['p99']:.0f} us, p99.9 {p['p99.9']:.0f} us"
    return Finding("decoder", "latency", "pass", f"{shape}: {words}", figures=figures)


def _late(latency_us: npt.NDArray[np.float64], deadline_us: float) -> int:
    return int((latency_us > deadline_us).sum())


def _percentiles(latency_us: npt.NDArray[np.float64]) -> dict[str, float] | None:
    return percentiles(latency_us) if len(latency_us) else None
