"""How the time of one bin of a recurrent spiking network follows its spikes.

``python benchmarks/spiking_activity.py [--hidden N --activity A,B,C --steps N --rounds N --json FILE]`` steps
`big_rsnn` with initial weights, its output filters left out, on the streaming machine. Before each step a share of the
channels gets a count, and the same share of the neurons is said to have fired in the bin before, others each time; the
first activity is what the rest is compared with. Hot is one step after the other, at the rate is 250 Hz with the caches
used by others in between. Ratios are medians over rounds of what was measured within one round.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from bmi_decoder.bundle import Bundle
from bmi_decoder.commands.options import write_json
from bmi_decoder.evaluation.cadence import time_calls, walk
from bmi_decoder.machine.executor import Executor
from services.bench.bandwidth import cache_bytes
from services.bench.host import host
from services.bench.percentiles import median_ratio, microseconds
from services.bench.untrained import untrained_bundle

_RATE_HZ = 250.0
_N_CHANNELS = 96
_PREPARED = 256
_FIRES, _SILENT = 1e3, -1e3
_SPIKES, _MEMBRANE = "rsnn.spikes", "rsnn.membrane"


class Network:
    """A network that is told before each step who has fired and who will.

    Parameters
    ----------
    bundle : Bundle
        Of `big_rsnn`.
    activity : float
        Share of channels and of neurons, 0 to 1.
    """

    def __init__(self, bundle: Bundle, activity: float) -> None:
        assert bundle.program is not None
        self._executor = Executor(bundle.program)
        self._x, self._y = self._executor.rows()
        fields, rng = bundle.program.state_fields, np.random.default_rng(0)
        self._states = np.tile(bundle.program.initial_state, (_PREPARED, 1))
        for name, low, high in ((_SPIKES, 0.0, 1.0), (_MEMBRANE, _SILENT, _FIRES)):
            start, n = fields[name]
            self._states[:, start : start + n] = np.where(_shares(rng, n, activity), high, low)
        self._counts = _shares(rng, _N_CHANNELS, activity).astype(np.float32)

    def prepare(self, k: int) -> None:
        """Write the bin and the state before it."""
        self._x[0] = self._counts[k % _PREPARED]
        self._executor.load_state(self._states[k % _PREPARED])

    def step(self) -> None:
        """Run the bin."""
        self._executor.run_into(self._x, self._y)


def _shares(rng: np.random.Generator, n: int, activity: float) -> Any:
    """Masks (_PREPARED, n), each with the same number of elements, at least one."""
    active = max(1, round(activity * n))
    return rng.permuted(np.arange(n) < np.full((_PREPARED, 1), active), axis=1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Step the network at every activity, in turns."""
    machine = host()
    bundle = untrained_bundle("big_rsnn", {"hidden": options.hidden}, _RATE_HZ, _N_CHANNELS)
    networks = {activity: Network(bundle, activity) for activity in options.activity}
    between = walk(2 * cache_bytes(2))
    times: dict[str, dict[float, list[Any]]] = {"hot": {}, "cadence": {}}
    for _ in range(options.rounds):
        for activity, network in networks.items():
            for way, period_s in (("hot", 0.0), ("cadence", 1 / _RATE_HZ)):
                took = time_calls(
                    network.step, options.steps, period_s, network.prepare, between if period_s else lambda: None
                )
                times[way].setdefault(activity, []).append(took)
    first = options.activity[0]
    return {
        "host": machine,
        "hidden": options.hidden,
        "activities": [
            {
                "activity": activity,
                **{f"{way}_us": microseconds(times[way][activity]) for way in times},
                "times_faster": {way: round(median_ratio(times[way][first], times[way][activity]), 2) for way in times},
            }
            for activity in networks
        ],
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument(
        "--activity", type=lambda text: [float(part) for part in text.split(",")], default=[1.0, 0.3, 0.1, 0.05, 0.02]
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", default="-")
    options = parser.parse_args()
    write_json(options.json, measure(options))


if __name__ == "__main__":
    main()
