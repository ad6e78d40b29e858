"""``bmi-decoder train``: a recording in, a bundle out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bmi_decoder.bundle import Bundle, read_bundle, write_bundle
from bmi_decoder.commands.options import (
    add_json,
    add_split,
    check_output,
    parse_assignments,
    parse_input_filter,
    parse_split,
    say,
    write_json,
)
from bmi_decoder.commands.training_extra import require_training_extra
from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_recording

if TYPE_CHECKING:
    from bmi_decoder.training.pretraining import PretrainSettings


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("train", help="train a decoder on a recording")
    parser.add_argument("recording", type=Path, metavar="RECORDING")
    parser.add_argument("--decoder", required=True, metavar="NAME", help="see 'bmi-decoder decoders'")
    parser.add_argument("--out", required=True, type=Path, metavar="BUNDLE")
    parser.add_argument("--preset", default="best", help="best (default) or paper")
    parser.add_argument(
        "--input-filter",
        metavar="F",
        help="filter on every channel: low_latency or high_accuracy, with options as in "
        "low_latency:cutoff_hz=6.25,order=4,width=32,boundary=odd",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="hyper-parameter or recipe field"
    )
    add_split(parser)
    parser.add_argument("--bin-ms", type=float, metavar="MS", help="sum the recording into wider bins first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--threads",
        type=_positive,
        default=1,
        metavar="N",
        help="of torch (default 1: these networks are small, and threads that wait for each other on a busy machine "
        "can make training a hundred times slower)",
    )
    parser.add_argument("--device", default="cpu", help="where training runs: cpu (default), cuda or cuda:N")
    parser.add_argument(
        "--init-from",
        type=Path,
        metavar="BUNDLE",
        help="start from what this bundle has learnt: one of the same decoder, or of its twin without spikes",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on where a killed run stopped, from BUNDLE.checkpoint if it is there"
    )
    parser.add_argument(
        "--pretrain-on",
        action="append",
        default=[],
        type=Path,
        metavar="OTHER",
        help="train on all of this session first, and on RECORDING afterwards; repeat it for more sessions",
    )
    parser.add_argument(
        "--pretrain-set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="recipe field of the pretraining alone",
    )
    parser.add_argument(
        "--fine-tune-rate",
        type=float,
        metavar="F",
        help="what the learning rate is multiplied by after pretraining (default 0.3)",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, write the bundle, print what it reaches."""
    require_training_extra("train")
    import torch

    from bmi_decoder.training.settings import TrainSettings
    from bmi_decoder.training.train import pretraining_checkpoint, train

    torch.set_num_threads(options.threads)

    settings = TrainSettings(
        decoder=options.decoder,
        preset=options.preset,
        overrides=parse_assignments(options.set),
        input_filter=parse_input_filter(options.input_filter),
        split=parse_split(options.split),
        seed=options.seed,
        device=options.device,
        pretraining=_pretraining(options),
        init_from=None if options.init_from is None else read_bundle(options.init_from),
    )
    check_output(options.out, makes_folders=True)
    check_output(options.json)
    checkpoint = options.out.with_name(options.out.name + ".checkpoint")
    if options.resume and not any(path.exists() for path in (checkpoint, pretraining_checkpoint(checkpoint))):
        say(f"{checkpoint} is not there: training begins at the beginning")
    bin_s = None if options.bin_ms is None else options.bin_ms / 1e3
    recording = read_recording(options.recording, bin_s)
    pretrain_on = [read_recording(path, bin_s) for path in options.pretrain_on]
    columns = (
        TextColumn("training {task.fields[decoder]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("validation R2 {task.fields[score]:.3f}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", decoder=settings.decoder, score=float("nan"))
        bundle = train(
            recording,
            settings,
            lambda epoch, total, score: bar.update(task, completed=epoch, total=total, score=score),
            checkpoint,
            options.resume,
            pretrain_on,
        )
    write_bundle(bundle, options.out)
    say(_summary(bundle, options.out))
    write_json(options.json, {"bundle": str(options.out), **bundle.manifest.model_dump(mode="json")})
    return 0


def _summary(bundle: Bundle, path: Path) -> str:
    lines = [f"{path}: {bundle.manifest.decoder}, trained in {bundle.manifest.training.seconds:.0f} s"]
    for variant, figures in bundle.manifest.metrics["test"].items():
        delay = f", {figures['lookahead_s'] * 1e3:.0f} ms lookahead" if figures["lookahead_s"] else ""
        lines.append(f"  {variant:14} test R2 {figures['r2']:.3f}{delay}")
    return "\n".join(lines)


def _pretraining(options: argparse.Namespace) -> PretrainSettings:
    from bmi_decoder.training.pretraining import PretrainSettings

    if not options.pretrain_on and (options.pretrain_set or options.fine_tune_rate is not None):
        raise InputError(
            "--pretrain-set and --fine-tune-rate need sessions to pretrain on: name them with --pretrain-on"
        )
    overrides = parse_assignments(options.pretrain_set)
    if options.fine_tune_rate is None:
        return PretrainSettings(overrides)
    return PretrainSettings(overrides, options.fine_tune_rate)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value
