"""Steps of one decoder in every runtime, in turn, all of them alive all the time."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.bundle import Bundle, write_bundle
from bmi_decoder.errors import BmiError
from services.bench.bandwidth import Bandwidth
from services.processes import Child, running

MACHINE, ONNX, TORCH = "machine", "onnx", "torch"
HOT, CADENCE, REHEARSED = "hot", "cadence", "rehearsed"

_PROCESSES = {
    MACHINE: ("-m", "services.bench.decoders.steps", "machine"),
    ONNX: ("-m", "services.bench.decoders.steps", "onnx"),
    TORCH: ("-m", "bmi_decoder.training.eager_steps"),
}
_TOLERANCE = 1e-3

Times = dict[tuple[str, str], list[npt.NDArray[np.int64]]]
"""Nanoseconds of single steps, per runtime and way of stepping, one array per round."""


@dataclass(frozen=True)
class Schedule:
    """How much is measured.

    Attributes
    ----------
    rounds : int
    hot_steps, cadence_steps : int
        Per round.
    walk_bytes : int
        Memory that something else reads between two bins at the cadence.
    """

    rounds: int
    hot_steps: int
    cadence_steps: int
    walk_bytes: int


def measure(bundle: Bundle, schedule: Schedule, bandwidth: Bandwidth, folder: Path) -> Times:
    """Step a decoder in every runtime that has it, hot and at its own cadence, in turning order.

    Raises
    ------
    BmiError
        If a process ends, or two runtimes do not compute the same.
    """
    path = folder / "decoder.bmi"
    write_bundle(bundle, path)
    names = [name for name in _PROCESSES if name != MACHINE or bundle.program is not None]
    period_s = bundle.manifest.bin_s
    times: Times = {}
    with contextlib.ExitStack() as stack:
        children = {name: stack.enter_context(running(name, [*_PROCESSES[name], str(path)], folder)) for name in names}
        check_agreement({name: np.array(json.loads(child.next_line())) for name, child in children.items()})
        for number in range(schedule.rounds):
            bandwidth.measure()
            for place in range(len(names)):
                name = names[(place + number) % len(names)]
                ways = (HOT, CADENCE, REHEARSED) if name == MACHINE else (HOT, CADENCE)
                for way in ways:
                    order = {
                        "n": schedule.hot_steps if way == HOT else schedule.cadence_steps,
                        "period_s": 0.0 if way == HOT else period_s,
                        "walk_bytes": schedule.walk_bytes,
                        "rehearse": way == REHEARSED,
                    }
                    times.setdefault((name, way), []).append(_answer(children[name], order))
    return times


def _answer(child: Child, order: dict[str, Any]) -> npt.NDArray[np.int64]:
    child.tell(json.dumps(order))
    return np.array(json.loads(child.next_line()), np.int64)


def check_agreement(outputs: dict[str, npt.NDArray[np.float64]]) -> None:
    """Raise a BmiError unless all runtimes gave the same outputs: else they did not do the same work."""
    (first, reference), *others = outputs.items()
    scale = max(1.0, float(np.abs(reference).max()))
    for name, output in others:
        worst = float(np.abs(output - reference).max())
        if not worst <= _TOLERANCE * scale:
            raise BmiError(f"{name} and {first} differ by {worst:.3g} in the first bins, so they cannot be compared")
