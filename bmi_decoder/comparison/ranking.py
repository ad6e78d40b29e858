"""Means and spreads over seeds, best decoder first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bmi_decoder.comparison.compare import Failure, Run
from bmi_decoder.comparison.entrant import Entrant
from bmi_decoder.recording import Recording

RANKED_BY = "validation R2 of the variant with the best validation R2, mean over seeds"
_COSTS = ("operations", "macs", "acs", "dense", "footprint_bytes", "bit_budget", "s_ace", "ns_ace")


@dataclass(frozen=True)
class Figure:
    """A mean over seeds, and the sample standard deviation, None for one seed."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Of one value per seed; NaN where one of them is."""
        numbers = np.array(values, np.float64)
        return cls(float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else None)


@dataclass(frozen=True)
class Standing:
    """One entrant with all its seeds.

    Attributes
    ----------
    validation, test, test_causal : dict of Figure
        R2 per variant.
    operations, dense, footprint_bytes, bit_budget, s_ace, ns_ace : Figure or None
        Of the decoder without filters; None where operations cannot be counted.
    filter_macs : dict
        Operations that each variant's filter adds, mean over seeds.
    lookahead_s : dict
        Per variant, mean over seeds.
    step_us, training_s : Figure
        Median hot step time on this machine; seconds of training, on whatever machine it was done.
    """

    entrant: Entrant
    runs: tuple[Run, ...]
    validation: dict[str, Figure]
    test: dict[str, Figure]
    test_causal: dict[str, Figure]
    lookahead_s: dict[str, float]
    operations: Figure | None
    macs: Figure | None
    acs: Figure | None
    dense: Figure | None
    footprint_bytes: Figure | None
    bit_budget: Figure | None
    s_ace: Figure | None
    ns_ace: Figure | None
    filter_macs: dict[str, float]
    step_us: Figure
    training_s: Figure

    @property
    def best_variant(self) -> str:
        """The variant with the best mean validation R2."""
        return max(self.validation, key=lambda name: _score(self.validation[name]))


def rank(runs: Sequence[Run]) -> list[Standing]:
    """Standings, best first by `RANKED_BY`: the choice never looks at the test part."""
    entrants = list({run.entrant.name: run.entrant for run in runs}.values())
    standings = [_standing(entrant, [run for run in runs if run.entrant.name == entrant.name]) for entrant in entrants]
    return sorted(standings, key=lambda standing: -_score(standing.validation[standing.best_variant]))


def _score(figure: Figure) -> float:
    return figure.mean if math.isfinite(figure.mean) else -math.inf


def _standing(entrant: Entrant, runs: Sequence[Run]) -> Standing:
    variants = list(runs[0].figures["test"])

    def over_seeds(part: str, field: str) -> dict[str, Figure]:
        return {name: Figure.of([_number(run.figures[part][name][field]) for run in runs]) for name in variants}

    counted = [run.figures["operations"] for run in runs]
    costs: dict[str, Figure | None] = dict.fromkeys(_COSTS)
    if all(entry is not None for entry in counted):
        costs |= {name: Figure.of([c[name] for c in counted]) for name in ("macs", "acs", "dense", "footprint_bytes")}
        costs["operations"] = Figure.of([c["macs"] + c["acs"] for c in counted])
        budgets = [run.figures["bit_budget"] for run in runs]
        costs |= {name: Figure.of([b[name] for b in budgets]) for name in ("bit_budget", "s_ace", "ns_ace")}
    return Standing(
        entrant,
        tuple(runs),
        validation=over_seeds("validation", "r2"),
        test=over_seeds("test", "r2"),
        test_causal=over_seeds("test", "r2_causal"),
        lookahead_s={name: figure.mean for name, figure in over_seeds("test", "lookahead_s").items()},
        filter_macs={name: Figure.of([run.figures["filter_macs"][name] for run in runs]).mean for name in variants},
        step_us=Figure.of([run.figures["speed"]["step_us"]["p50"] for run in runs]),
        training_s=Figure.of([run.figures["training_s"] for run in runs]),
        **costs,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def as_json(recording: Recording, standings: Sequence[Standing], failures: Sequence[Failure]) -> dict[str, Any]:
    """What ``bmi-decoder compare --json`` writes."""
    return {
        "recording": recording.source,
        "fingerprint": recording.fingerprint(),
        "ranked_by": RANKED_BY,
        "decoders": [
            {
                "rank": i,
                "name": standing.entrant.name,
                "decoder": standing.entrant.decoder,
                "preset": standing.entrant.preset,
                "overrides": dict(standing.entrant.overrides),
                "seeds": len(standing.runs),
                "best_variant": standing.best_variant,
                **{
                    field: {name: asdict(figure) for name, figure in getattr(standing, field).items()}
                    for field in ("validation", "test", "test_causal")
                },
                **{
                    field: None if getattr(standing, field) is None else asdict(getattr(standing, field))
                    for field in (*_COSTS, "step_us", "training_s")
                },
                "filter_macs": standing.filter_macs,
                "lookahead_s": standing.lookahead_s,
                "runs": [
                    {"seed": run.seed, "bundle": str(run.path), "reused": run.reused, **run.figures}
                    for run in standing.runs
                ],
            }
            for i, standing in enumerate(standings, start=1)
        ],
        "failed": [{"name": f.entrant.name, "seed": f.seed, "reason": f.reason} for f in failures],
    }
