"""Collects two live streams for a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from bmi_decoder.errors import BmiError
from bmi_decoder.formats.alignment import Alignment, align
from services.calibration.intake import StreamIntake
from services.calibration.order import CollectOrder
from services.calibration.streams import check_kinematics, check_neural, check_pair, find
from services.calibration.tally import check_counts, describe, tally
from services.ingest.found import FoundStream

_POLL_S = 0.05
_REPORT_S = 0.5
_SHARE = 0.1
"""Of the time, at most, that looking at what has come may take."""

_SILENCE_S = 15.0
_LATE_S = 1.0
"""How long the last samples may be under way."""

Report = Callable[[float, str, dict[str, Any]], None]


def collect(order: CollectOrder, report: Report) -> tuple[Alignment, dict[str, Any]]:
    """Find the streams, take in what comes, and bring both on the neural stream's bins.

    Parameters
    ----------
    order : CollectOrder
    report : callable
        Is told progress from 0 to 1, a message, and the figures behind it.

    Raises
    ------
    InputError
        If a stream is not there, or cannot be used.
    BmiError
        If nothing comes.
    """
    report(0.0, "finding the streams", {})
    neural, kinematics = find(order.neural.wanted), find(order.kinematics.wanted)
    check_neural(neural)
    check_kinematics(kinematics, order.kinematics.outputs)
    check_pair(neural, kinematics)
    collector = Collector(order, neural, kinematics)
    try:
        collector.run(report)
    finally:
        collector.close()
    return collector.aligned()


class Collector:
    """Takes in both streams side by side.

    Parameters
    ----------
    order : CollectOrder
    neural, kinematics : FoundStream
    """

    def __init__(self, order: CollectOrder, neural: FoundStream, kinematics: FoundStream) -> None:
        self._speed = neural.description.speed
        self._seconds = order.seconds / self._speed
        self._sample_s = 1 / neural.visible.rate_hz
        # A source that waits for somebody to listen to its neural stream must not begin before we hear both.
        room = self._seconds + 2 * _LATE_S
        self._kinematics = StreamIntake(kinematics, order.kinematics.wanted, room)
        self._neural = StreamIntake(neural, order.neural.wanted, room)
        self._name = neural.visible.name
        self._until = math.inf

    def run(self, report: Report) -> None:
        """Collect until the time is over.

        Raises
        ------
        BmiError
            If the neural stream is silent from the beginning.
        """
        self._kinematics.open()
        self._neural.open()
        opened, next_report = time.monotonic(), 0.0
        began = math.inf
        while time.monotonic() < began + self._seconds + _LATE_S:
            self._kinematics.take()
            self._neural.take()
            now = time.monotonic()
            if math.isinf(began) and self._neural.n:
                began = now
                self._until = self._neural.first + self._seconds - self._sample_s / 2
            if math.isinf(began) and now - opened > _SILENCE_S:
                raise BmiError(f"stream {self._name!r} is there, but sent nothing in {_SILENCE_S:g} s")
            if self._neural.last >= self._until and self._kinematics.last >= self._until - self._sample_s:
                break
            if now >= next_report and not math.isinf(began):
                self._tell(report, now - began)
                next_report = time.monotonic() + max(_REPORT_S, (time.monotonic() - now) / _SHARE)
            time.sleep(_POLL_S)

    def aligned(self) -> tuple[Alignment, dict[str, Any]]:
        """What was collected, and its tally."""
        alignment = align(self._neural.stream(self._until), self._kinematics.stream(self._until + _LATE_S), self._name)
        check_counts(alignment)
        counted = tally(alignment)
        # A stream that did not come back leaves no gap between two bins.
        expected = round(self._seconds / alignment.bin_s)
        return alignment, counted | {"lost": max(counted["lost"], expected - len(alignment.stamps))}

    def close(self) -> None:
        """Disconnect."""
        self._neural.close()
        self._kinematics.close()

    def _tell(self, report: Report, elapsed_s: float) -> None:
        # Movement of the newest bins may still be under way.
        heard = max(self._kinematics.last, self._neural.last - _LATE_S)
        alignment = align(self._neural.stream(min(self._until, heard)), self._kinematics.stream(), self._name)
        check_counts(alignment)
        counted = tally(alignment)
        # By the stamps while there are any, by our clock where they stay away.
        elapsed_s = max(elapsed_s, self._neural.last - self._neural.first)
        left = max(0.0, (self._seconds - elapsed_s) * self._speed)
        total = self._seconds * self._speed
        silent = [intake.name for intake in (self._neural, self._kinematics) if not intake.connected]
        message = f"{describe(counted)}; {left:.0f} s left" + "".join(f"; stream {name!r} is lost" for name in silent)
        report(1 - left / total, message, counted | {"seconds_left": round(left, 1), "lost_streams": silent})
