"""Pieces that several sub-commands share."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bmi_decoder.config import InputFilterSettings, Settings, SplitSettings
from bmi_decoder.errors import BmiError, InputError

S = TypeVar("S", bound=Settings)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json FILE``."""
    parser.add_argument("--json", metavar="FILE", help="write one JSON object here; '-' is standard output")


def write_json(target: str | None, value: dict[str, Any]) -> None:
    """Write a result to where ``--json`` points, if anywhere."""
    if target is None:
        return
    text = json.dumps(_without_nan(value), indent=2)
    if target == "-":
        print(text)
        return
    try:
        Path(target).write_text(text + "\n")
    except OSError as error:
        raise BmiError(f"cannot write {target}: {error.strerror}") from None


def check_output(path: str | Path | None, makes_folders: bool = False) -> None:
    """Raise an error now if `path` cannot be written, and not after long work; '-' and None are fine."""
    if path is None or path == "-":
        return
    path = Path(path)
    if path.is_dir():
        raise BmiError(f"cannot write {path}: it is a folder")
    parents = path.absolute().parents
    folder = next(parent for parent in parents if parent.exists()) if makes_folders else parents[0]
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise BmiError(f"cannot write {path}: {folder} is not a folder that can be written to")


def positive_seconds(text: str) -> float:
    """A time as an argument's type."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text!r}")
    return seconds


def say(message: str) -> None:
    """Tell a person something, on standard error so that standard output stays clean for results."""
    print(message, file=sys.stderr, flush=True)


def settings_from(model: type[S], values: dict[str, Any], what: str) -> S:
    """Build settings from what a user typed, with one clear error."""
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        allowed = f"; it has {', '.join(model.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise InputError(f"{what}: {field or 'value'}: {first['msg']}{allowed}") from None


def parse_value(text: str) -> Any:
    """A number, true, false or null as in JSON; anything else is a string."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_assignments(pairs: list[str]) -> dict[str, Any]:
    """``key=value`` pairs as a dictionary."""
    values = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise InputError(f"expected key=value, got {pair!r}")
        values[key] = parse_value(text)
    return values


def parse_input_filter(text: str | None) -> InputFilterSettings | None:
    """``low_latency`` or ``low_latency:cutoff_hz=10,width=16``."""
    if text is None or text == "none":
        return None
    variant, _, options = text.partition(":")
    values = parse_assignments([option for option in options.split(",") if option])
    return settings_from(
        InputFilterSettings, {"variant": variant, "cutoff_hz": 6.25, **values}, f"--input-filter {text}"
    )


def add_split(parser: argparse.ArgumentParser, default: str = "0.7,0.1,0.2") -> None:
    """Add ``--split``."""
    parser.add_argument(
        "--split",
        default=default,
        metavar="A,B,C",
        help="training, validation, test; or reaches:A, the first share A of the reaches for training and the rest in "
        "halves, as NeuroBench does (reaches alone is reaches:0.5)",
    )


def parse_split(text: str) -> SplitSettings:
    """``0.7,0.1,0.2``: training, validation, test; or ``reaches:0.5``, the share of the reaches to train on."""
    kind, _, share = text.partition(":")
    if kind == "reaches":
        train = parse_value(share or "0.5")
        rest = (1 - train) / 2 if isinstance(train, int | float) else None
        return settings_from(
            SplitSettings, {"by": "reaches", "train": train, "validation": rest, "test": rest}, f"--split {text}"
        )
    parts = text.split(",")
    if len(parts) != 3:
        raise InputError(f"--split needs three parts such as 0.7,0.1,0.2, or reaches:0.5, got {text!r}")
    names = ("train", "validation", "test")
    return settings_from(
        SplitSettings, {name: parse_value(part) for name, part in zip(names, parts, strict=True)}, f"--split {text}"
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
