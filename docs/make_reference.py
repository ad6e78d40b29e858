"""Writes the tables of the reference pages again, from the code: ``python docs/make_reference.py [--check]``.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- /generated -->``; the rest of a page is written by hand.
Needs the ``[train]`` extra. With ``--check`` nothing is written, and pages that are out of date are named.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bmi_decoder.cli import build_parser
from bmi_decoder.config import (
    BlockFilterSettings,
    FirFilterSettings,
    InputFilterSettings,
    RealtimeSettings,
    SessionSettings,
    StreamSettings,
)
from bmi_decoder.decoders.decoder import Decoder, Preset
from bmi_decoder.decoders.registry import build_decoder, decoder_class, decoder_names
from bmi_decoder.machine.instruction import Kind
from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.recorder_models import RecorderStatus, RecordingStart
from bmi_decoder.training.export import lower
from bmi_decoder.training.recipe import Recipe
from filters import BOUNDARIES, VARIANTS, BlockBidirectional, CausalSos, bessel_sos
from services.certify.limits import Limits
from services.certify.manifest import ExpectedStream
from services.recorder.naming import FileName
from services.recorder.settings import RecorderSettings

DOCS = Path(__file__).parent
BLOCK = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- /generated -->)", re.DOTALL)
MODELS: dict[str, type[BaseModel]] = {
    "session": SessionSettings,
    "stream": StreamSettings,
    "block filter": BlockFilterSettings,
    "fir filter": FirFilterSettings,
    "input filter": InputFilterSettings,
    "realtime": RealtimeSettings,
    "recipe": Recipe,
    "recorder": RecorderSettings,
    "recorder status": RecorderStatus,
    "recording file name": FileName,
    "recording start": RecordingStart,
    "manifest stream": ExpectedStream,
    "certify limits": Limits,
}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def command(name: str) -> str:
    """Usage and options of one sub-command, or of a sub-command's own."""
    parser = build_parser()
    for part in name.split():
        parsers = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        if part not in parsers.choices:
            sys.exit(f"the command {name!r} is not known: install the package again (pip install -e .)")
        parser = parsers.choices[part]
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    rows = [(_signature(action), _meaning(action)) for action in actions]
    placed = [_metavar(action) for action in actions if not action.option_strings]
    needed = [f"{action.option_strings[0]} {_metavar(action)}" for action in actions if _is_needed(action)]
    optional = ["[options]"] if any(action.option_strings and not action.required for action in actions) else []
    usage = " ".join([f"bmi-decoder {name}", *placed, *needed, *optional])
    return f"\n    {usage}\n\n" + (table(("argument", "meaning"), rows) + "\n" if rows else "")


def _is_needed(action: argparse.Action) -> bool:
    return bool(action.option_strings) and action.required


def _metavar(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    return action.dest.upper().replace("_", "-")


def _signature(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_metavar(action)}`"
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    return f"`{action.option_strings[0]}{value}`"


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "") % {"default": action.default}
    notes = ["required"] if _is_needed(action) else []
    shown = action.default not in (None, []) and action.default is not False and "default" not in text
    notes += [f"default {action.default}"] if shown else []
    notes += ["may be repeated"] if isinstance(action, argparse._AppendAction) else []
    return "; ".join([*([text] if text else []), *notes])


def settings(name: str) -> str:
    """Fields of a settings model."""
    rows = []
    for field, info in MODELS[name].model_fields.items():
        missing = info.default is PydanticUndefined
        default = "required" if missing else "`" + _json(info.default) + "`"
        rows.append((f"`{field}`", default, _limits(info), info.description or ""))
    return table(("field", "default", "allowed", "meaning"), rows)


def _json(value: object) -> str:
    return {None: "null", True: "true", False: "false"}.get(value, str(value)) if _is_plain(value) else str(value)  # type: ignore[call-overload]


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _limits(info: Any) -> str:
    parts = []
    for item in info.metadata:
        for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
            if getattr(item, name, None) is not None:
                parts.append(f"{sign} {getattr(item, name):g}")
        if getattr(item, "pattern", None):
            parts.append(f"`{item.pattern}`")
        if getattr(item, "max_length", None):
            unit = "of them" if "tuple" in str(info.annotation) else "characters"
            parts.append(f"at most {item.max_length} {unit}")
    allowed = getattr(info.annotation, "__args__", ())
    if allowed and all(isinstance(value, str) for value in allowed):
        parts.append(", ".join(f"`{value}`" for value in allowed))
    return ", ".join(parts)


def presets(name: str) -> str:
    """Hyper-parameters and training settings of a decoder's presets."""
    cls = decoder_class(name)
    values: dict[str, dict[str, Any]] = {
        preset: {**_built(cls, p, 96).hyper_parameters, **p.hyper_parameters} for preset, p in cls.presets.items()
    }
    recipes = {preset: p.recipe.model_dump() for preset, p in cls.presets.items()}
    keys = dict.fromkeys(key for hyper in values.values() for key in hyper)
    rows = [(f"`{key}`", *(_json(values[preset][key]) for preset in values)) for key in keys]
    rows += [
        (f"`{key}` (training)", *(_json(recipes[preset][key]) for preset in recipes)) for key in Recipe.model_fields
    ]
    return table(("setting", *(f"`{preset}`" for preset in values)), rows)


def _built(cls: type[Decoder], preset: Preset, n_channels: int) -> Decoder:
    """A preset's decoder as for counts in bins of 4 ms."""
    return build_decoder(cls.name, n_channels, 2, cls.adapt(preset.hyper_parameters, 0.004, True))


def decoders(folder: str) -> str:
    """Every decoder of this package with its page in a folder, relative to the page that lists them."""
    found = [decoder_class(name) for name in decoder_names()]
    own = [cls for cls in found if cls.__module__.startswith("bmi_decoder.")]
    rows = [f"- [{cls.name}]({folder}/{cls.name}.md): {cls.summary}" for cls in own]
    return "\n".join(rows) + "\n"


def costs(name: str) -> str:
    """Size of a decoder's presets at 96 and 192 channels, two outputs."""
    cls = decoder_class(name)
    rows: list[tuple[object, ...]] = []
    for preset, p in cls.presets.items():
        for n_channels in (96, 192):
            decoder = _built(cls, p, n_channels)
            decoder.calibrate(torch.randint(0, 3, (64, n_channels)).float())
            decoder.finalise(x_step=1.0)
            program = lower(decoder.eval())
            parameters = sum(value.numel() for value in decoder.parameters())
            if program is None:
                state = sum(value.numel() for value in decoder.initial_state(1).values())
                rows.append((f"`{preset}`", n_channels, f"{parameters:,}", f"{state:,}", "runs through ONNX", "-"))
                continue
            rows.append(
                (
                    f"`{preset}`",
                    n_channels,
                    f"{parameters:,}",
                    f"{program.initial_state.size:,}",
                    len(program.instructions),
                    f"{_products(program.instructions):,}",
                )
            )
    head = ("preset", "channels", "torch parameters", "state, floats", "instructions", "multiply-adds per bin, dense")
    return table(head, rows)


def _products(instructions: Any) -> int:
    total = 0
    for row in instructions.tolist():
        instruction = INSTRUCTIONS[row[0]]
        operands = instruction.decode(row)
        if instruction.name in ("linear", "linear_few"):
            total += operands["n_in"] * operands["n_out"]
    return total


def responses() -> str:
    """Lag, noise gain and gain of the filters at the seed paper's settings."""
    rate_hz, frequencies = 250.0, (1, 2, 4, 8, 40)
    found: list[tuple[str, Any]] = []
    for width in (32, 64):
        for variant in VARIANTS:
            for boundary in BOUNDARIES if width == 32 else ("odd",):
                built = BlockBidirectional.from_variant(
                    variant, cutoff_hz=6.25, rate_hz=rate_hz, width=width, boundary=boundary
                )
                found.append((f"`{variant}`, W = {width}, `{boundary}`", built))
    found.append(("`CausalSos`, order 4, 6.25 Hz", CausalSos(bessel_sos(4, 6.25, rate_hz), rate_hz=rate_hz)))
    found.append(("`CausalSos`, order 2, 18.75 Hz", CausalSos(bessel_sos(2, 18.75, rate_hz), rate_hz=rate_hz)))
    rows = [
        (
            name,
            f"{f.lookahead_samples / rate_hz * 1e3:.0f}",
            f"{f.delay_s * 1e3:.1f}",
            f"{f.noise_gain:.3f}",
            *(f"{gain:.2f}" for gain in f.gain(frequencies)),
        )
        for name, f in found
    ]
    head = ("filter", "lookahead, ms", "delay, ms", "noise gain", *(f"{frequency} Hz" for frequency in frequencies))
    return table(head, rows)


def instructions() -> str:
    """All instructions with their operands."""
    marks = {Kind.ARENA: "a", Kind.PARAMS: "p", Kind.SIZE: "n", Kind.CHOICE: "c", Kind.COLUMN: "k"}
    rows = []
    for opcode, instruction in sorted(INSTRUCTIONS.items()):
        operands = [
            f"{name}:{marks[kind]}{'?' if name in instruction.optional else ''}" for name, kind in instruction.operands
        ]
        rows.append((opcode, f"`{instruction.name}`", f"`{' '.join(operands)}`"))
    return table(("opcode", "name", "operands"), rows)


def generate(name: str) -> str:
    """The content of one generated block."""
    kind, _, rest = name.partition(" ")
    makers = {"command": command, "settings": settings, "presets": presets, "costs": costs, "decoders": decoders}
    if kind in makers:
        return makers[kind](rest)
    return {"responses": responses, "instructions": instructions}[name]()


def pages() -> Iterator[tuple[Path, str, str]]:
    """Each page with generated blocks: its path, its text, and the text that it should have."""
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text()
        wanted = BLOCK.sub(lambda found: found[1] + generate(found[2]) + found[3], text)
        if wanted != text or BLOCK.search(text):
            yield path, text, wanted


def main() -> int:
    """Write or check all pages."""
    parser = argparse.ArgumentParser(description="Write the tables of the reference pages again.")
    parser.add_argument("--check", action="store_true", help="only name the pages that are out of date")
    options = parser.parse_args()
    stale = [(path, wanted) for path, text, wanted in pages() if wanted != text]
    for path, wanted in stale:
        print(f"{path}: {'out of date' if options.check else 'written'}")
        if not options.check:
            path.write_text(wanted)
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
