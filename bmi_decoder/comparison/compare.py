"""Trains what is not trained yet, and gathers the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmi_decoder.bundle import Bundle, read_bundle, write_bundle
from bmi_decoder.comparison.entrant import Entrant
from bmi_decoder.config import InputFilterSettings, SplitSettings
from bmi_decoder.errors import BmiError, BundleError
from bmi_decoder.evaluation.cost import filter_operations, memory, operations
from bmi_decoder.evaluation.speed import time_steps
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording
from bmi_decoder.split import split_bounds
from bmi_decoder.training.loop import Progress
from bmi_decoder.training.run_key import run_key
from bmi_decoder.training.settings import TrainSettings, check_settings
from bmi_decoder.training.train import train

_TIMED_BINS = 2000


@dataclass(frozen=True)
class Run:
    """One trained decoder.

    Attributes
    ----------
    reused : bool
        Whether it had been trained before.
    figures : dict
        ``validation`` and ``test`` per variant, ``operations``, ``bit_budget``, ``filter_macs``, ``memory``, ``speed``
        and ``training_s``.
    """

    entrant: Entrant
    seed: int
    path: Path
    reused: bool
    figures: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A run that could not be done, and why."""

    entrant: Entrant
    seed: int
    reason: str


Announce = Callable[[Entrant, int], Progress | None]
"""Called before each run with the entrant and the seed; returns what is told of its epochs."""


def compare(
    recording: Recording,
    entrants: Sequence[Entrant],
    seeds: Sequence[int],
    work: Path,
    input_filter: InputFilterSettings | None = None,
    split: SplitSettings | None = None,
    device: str = "cpu",
    announce: Announce | None = None,
) -> tuple[list[Run], list[Failure]]:
    """Train every entrant with every seed, unless its bundle is in the work directory already.

    Parameters
    ----------
    recording : Recording
    entrants : sequence of Entrant
    seeds : sequence of int
    work : Path
        Where bundles are kept. Their names hold a key of recording, settings, seed and code, so a bundle is
        found again only if training would give the same. A run that was interrupted goes on.
    input_filter, split, device
        As in `TrainSettings`, the same for all.
    announce : callable, optional

    Returns
    -------
    (list of Run, list of Failure)
        One of them per entrant and seed.

    Raises
    ------
    InputError
        If an entrant's settings are wrong, before anything is trained.
    """
    split = SplitSettings() if split is None else split
    jobs = [(e, seed, e.settings(input_filter, split, seed, device)) for seed in seeds for e in entrants]
    for _, _, settings in jobs:
        check_settings(recording, settings)
    fingerprint = recording.fingerprint()
    runs: list[Run] = []
    failures: list[Failure] = []
    for entrant, seed, settings in jobs:
        progress = None if announce is None else announce(entrant, seed)
        key = run_key(fingerprint, settings)
        path = work / f"{entrant.decoder}-{entrant.preset}-seed{seed}-{key[:16]}.bmi"
        try:
            bundle, reused = _found_or_trained(recording, settings, path, progress)
            runs.append(Run(entrant, seed, path, reused, _figures(bundle, recording, split)))
        except BmiError as error:
            failures.append(Failure(entrant, seed, str(error)))
    return runs, failures


def _found_or_trained(
    recording: Recording, settings: TrainSettings, path: Path, progress: Progress | None
) -> tuple[Bundle, bool]:
    if path.exists():
        try:
            return read_bundle(path), True
        except BundleError:
            pass  # damaged: written anew below
    bundle = train(recording, settings, progress, path.with_suffix(".checkpoint"), resume=True)
    write_bundle(bundle, path)
    return bundle, False


def _figures(bundle: Bundle, recording: Recording, split: SplitSettings) -> dict[str, Any]:
    start = split_bounds(recording, split)[1]
    pipeline = Pipeline(bundle)
    return {
        **bundle.manifest.metrics,
        **operations(bundle, recording, start, recording.n_bins),
        "filter_macs": filter_operations(pipeline),
        "memory": memory(bundle, pipeline),
        "speed": time_steps(pipeline, recording.counts[start : start + _TIMED_BINS], 2000),
        "training_s": bundle.manifest.training.seconds,
    }
