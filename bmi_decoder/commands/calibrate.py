"""``bmi-decoder calibrate``: two live streams in, a decoder in the control plane's store out."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bmi_decoder.client import ControlClient, ControlError
from bmi_decoder.commands.options import (
    add_json,
    add_split,
    check_output,
    parse_assignments,
    parse_input_filter,
    parse_split,
    positive_seconds,
    say,
    write_json,
)
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.jobs import JobInfo

_ASK_S = 0.2
_SPLIT = "0.7,0.15,0.15"


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("calibrate", help="have a control plane collect from a live rig and train on that")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the control plane")
    parser.add_argument("--neural", required=True, metavar="NAME", help="LSL stream of spike counts")
    parser.add_argument("--kinematics", required=True, metavar="NAME", help="LSL stream of movement")
    parser.add_argument("--neural-type", default="spikes", metavar="TYPE", help="LSL type of that stream")
    parser.add_argument("--kinematics-type", default="kinematics", metavar="TYPE", help="LSL type of that stream")
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="NAME:UNIT",
        help="of each kinematics channel, where the stream does not declare them",
    )
    parser.add_argument("--seconds", type=positive_seconds, default=60.0, metavar="S", help="how long to collect")
    parser.add_argument("--decoder", required=True, metavar="NAME", help="see 'bmi-decoder decoders'")
    parser.add_argument("--preset", default="best", help="best (default) or paper")
    parser.add_argument("--input-filter", metavar="F", help="filter on every channel, as in 'bmi-decoder train'")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="hyper-parameter or recipe field"
    )
    add_split(parser, _SPLIT)
    parser.add_argument("--bin-ms", type=float, metavar="MS", help="sum the stream's samples into wider bins")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--session", metavar="NAME", help="compare with this session's decoder, and deploy to it")
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--deploy", action="store_true", help="give the decoder to the session, whatever it reaches")
    after.add_argument("--discard", action="store_true", help="keep neither decoder nor data")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Calibrate, say what came of it, and deploy, keep or discard it."""
    if options.deploy and options.session is None:
        raise InputError("--deploy needs --session, the one that shall decode")
    check_output(options.json)
    request = _request(options)
    with ControlClient(options.url, os.environ.get("BMI_TOKEN")) as control:
        say(f"looking for {options.neural!r} and {options.kinematics!r} ...")
        try:
            job = control.calibrate(**request)
        except ControlError as error:
            if error.status == 422:
                raise InputError(str(error)) from None
            raise
        # A shell that starts a command in the background has it ignore Ctrl-C. Ended politely, it means the same.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            job = _follow(control, job)
        except KeyboardInterrupt:
            say("cancelling ...")
            control.cancel_job(job.id)
            say("cancelled; nothing was kept")
            raise
        if job.state != "done" or job.result is None:
            raise BmiError(job.error or f"job {job.id} was {job.state} by somebody else")
        say(_summary(job.result))
        job = _decided(control, job, options)
    write_json(options.json, {"job": job.id, **(job.result or {})})
    return 0


def _request(options: argparse.Namespace) -> dict[str, Any]:
    kinematics: dict[str, Any] = {"name": options.kinematics, "type": options.kinematics_type}
    if options.output:
        pairs = [text.rpartition(":") for text in options.output]
        if not all(name and unit for name, _, unit in pairs):
            raise InputError(f"--output is NAME:UNIT, for example x_velocity:m/s, got {' '.join(options.output)}")
        kinematics["outputs"] = [{"name": name, "unit": unit} for name, _, unit in pairs]
    chosen = parse_input_filter(options.input_filter)
    return {
        "neural": {"name": options.neural, "type": options.neural_type},
        "kinematics": kinematics,
        "decoder": options.decoder,
        "seconds": options.seconds,
        "preset": options.preset,
        "overrides": parse_assignments(options.set),
        "input_filter": None if chosen is None else chosen.model_dump(mode="json"),
        "split": parse_split(options.split).model_dump(mode="json"),
        "bin_s": None if options.bin_ms is None else options.bin_ms / 1e3,
        "seed": options.seed,
        "session": options.session,
    }


def _follow(control: ControlClient, job: JobInfo) -> JobInfo:
    """Wait for a job's end, with a progress bar on a terminal."""
    console = Console(stderr=True)
    columns = (BarColumn(20), TextColumn("{task.percentage:3.0f} %"), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(job.state, total=1.0)
        while job.state in ("queued", "running"):
            time.sleep(_ASK_S)
            job = control.job(job.id)
            bar.update(task, completed=job.progress, description=job.message or job.state)
    return job


def _summary(result: dict[str, Any]) -> str:
    collected = result["collected"]
    unusable = sum(collected["unusable"].values())
    lines = [
        f"collected {collected['usable']:,} usable bins, {collected['lost']:,} lost, {unusable:,} unusable; "
        f"recording {result['recording']}",
        f"decoder {result['decoder']}",
    ]
    comparison = result["comparison"] or {}
    if "missing" in comparison:
        lines.append(f"no comparison with the decoder in use: {comparison['missing']}")
    for part in ("validation", "test"):
        for variant, figures in result["metrics"][part].items():
            each = ", ".join(f"{name} {_number(value)}" for name, value in figures["r2_per_output"].items())
            line = f"  {part:10} {variant:14} R2 {_number(figures['r2'])} ({each})"
            if variant in comparison.get(part, {}):
                both = comparison[part][variant]
                line += (
                    f"; on the same {both['bins']:,} bins {_number(both['new']['r2'])}, "
                    f"in use {_number(both['in_use']['r2'])}"
                )
            lines.append(line)
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _decided(control: ControlClient, job: JobInfo, options: argparse.Namespace) -> JobInfo:
    deploy, discard = options.deploy, options.discard
    if not deploy and not discard and sys.stdin.isatty():
        choices = ("deploy, " if options.session else "") + "keep or discard"
        answer = input(f"{choices}? [keep] ").strip().casefold()
        deploy = bool(answer) and "deploy".startswith(answer) and options.session is not None
        discard = answer == "discard"
    if deploy:
        status = control.deploy_job(job.id)
        say(f"session {options.session!r} now decodes with it, as revision {status.revision}")
    elif discard:
        control.discard_job(job.id)
        say("discarded decoder and data")
    return control.job(job.id)
