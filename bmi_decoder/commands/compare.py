"""``bmi-decoder compare``: several decoders on one recording."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bmi_decoder.commands.options import (
    add_json,
    add_split,
    parse_assignments,
    parse_input_filter,
    parse_split,
    say,
    write_json,
)
from bmi_decoder.commands.training_extra import require_training_extra
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.formats import read_recording

if TYPE_CHECKING:
    from bmi_decoder.comparison.entrant import Entrant
    from bmi_decoder.comparison.ranking import Standing
    from bmi_decoder.training.loop import Progress as EpochProgress

MOST_SEEDS = 100


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("compare", help="train several decoders on a recording and rank them")
    parser.add_argument("recording", type=Path, metavar="RECORDING")
    parser.add_argument(
        "--decoders", metavar="A,B,C", help="decoders, each with a preset of its own as in lstm:paper (default: all)"
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="train each N times (default 3)")
    parser.add_argument("--preset", default="best", help="best (default) or paper, where none is named")
    parser.add_argument("--input-filter", metavar="F", help="filter on every channel, as in 'train'")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="setting of all, or of one: lstm.hidden=64"
    )
    add_split(parser)
    parser.add_argument("--bin-ms", type=float, metavar="MS", help="sum the recording into wider bins first")
    parser.add_argument("--device", default="cpu", help="where training runs: cpu (default), cuda or cuda:N")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where bundles are kept (default: a cache directory)")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page with pictures here, DIR/index.html")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train what is not trained yet, print the ranking; status 1 if a run failed."""
    require_training_extra("compare")
    from bmi_decoder.comparison.compare import compare
    from bmi_decoder.comparison.entrant import parse_entrants
    from bmi_decoder.comparison.ranking import as_json, rank
    from bmi_decoder.decoders.registry import decoder_names

    if not 1 <= options.seeds <= MOST_SEEDS:
        raise InputError(f"--seeds must be 1 to {MOST_SEEDS}, got {options.seeds}")
    names = [name for name in (options.decoders or "").split(",") if name] or decoder_names()
    entrants = parse_entrants(names, options.preset, parse_assignments(options.set))
    input_filter, split = parse_input_filter(options.input_filter), parse_split(options.split)
    bin_s = None if options.bin_ms is None else options.bin_ms / 1e3
    recording = read_recording(options.recording, bin_s)
    work = options.work or default_work()
    with _Bar(len(entrants) * options.seeds) as bar:
        runs, failures = compare(
            recording, entrants, range(options.seeds), work, input_filter, split, options.device, bar.announce
        )
    for failure in failures:
        say(f"{failure.entrant.name}, seed {failure.seed}: {failure.reason}")
    if not runs:
        raise BmiError("no run succeeded")
    standings = rank(runs)
    if options.json != "-":
        print("\n".join(_lines(standings)))
    reused = sum(run.reused for run in runs)
    say(f"{len(runs)} runs, {reused} of them from {work}")
    write_json(options.json, as_json(recording, standings, failures))
    if options.report is not None:
        from bmi_decoder.evaluation.report.comparison_page import comparison_page
        from bmi_decoder.evaluation.report.page import write_page

        say(f"report: {write_page(options.report, comparison_page(recording, standings, failures))}")
    return 1 if failures else 0


def default_work() -> Path:
    """Where bundles are kept unless ``--work`` says otherwise."""
    base = os.environ.get("BMI_CACHE_DIR") or platformdirs.user_cache_dir("bmi-decoder")
    return Path(base) / "compare"


def _lines(standings: list[Standing]) -> list[str]:
    lines = [f"{'test R2':22} {'raw':>15} {'low_latency':>15} {'high_accuracy':>15} {'operations':>12} {'bytes':>12}"]
    for standing in standings:
        cells = [f"{standing.entrant.name:22}"]
        for variant in ("raw", "low_latency", "high_accuracy"):
            figure = standing.test.get(variant)
            spread = "" if figure is None or figure.deviation is None else f" ± {figure.deviation:.3f}"
            cells.append(f"{'-' if figure is None else f'{figure.mean:.3f}{spread}':>15}")
        for cost in (standing.operations, standing.footprint_bytes):
            cells.append(f"{'-' if cost is None else f'{cost.mean:,.0f}':>12}")
        lines.append(" ".join(cells))
    return lines


class _Bar:
    """Progress of all runs, and of the epochs of the one at work."""

    def __init__(self, n_runs: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._all = self._progress.add_task("runs", total=n_runs, note="")
        self._one = self._progress.add_task("", total=None, note="")
        self._begun = 0

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.update(self._all, completed=self._begun)
        self._progress.stop()

    def announce(self, entrant: Entrant, seed: int) -> EpochProgress:
        """Begin a run."""
        self._progress.update(self._all, completed=self._begun)
        self._begun += 1
        self._progress.reset(self._one, description=f"{entrant.name}, seed {seed}", note="")

        def epoch(done: int, total: int, score: float) -> None:
            self._progress.update(self._one, completed=done, total=total, note=f"validation R2 {score:.3f}")

        return epoch
