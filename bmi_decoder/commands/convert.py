"""``bmi-decoder convert``: a recording of any format as our own file, or a decoder as spiking neurons."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmi_decoder.bundle import is_bundle, read_bundle, write_bundle
from bmi_decoder.commands.options import add_json, check_output, say, write_json
from bmi_decoder.commands.reading import add_reading, reading_choices
from bmi_decoder.commands.training_extra import require_training_extra
from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_recording, write_npz


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "convert",
        help="write a recording as .npz, which is read without extra packages, or a decoder as spiking neurons",
    )
    add_reading(parser, "RECORDING|BUNDLE", "a recording of any known format; with --to, a decoder bundle")
    parser.add_argument("out", type=Path, metavar="OUT", help="an .npz file; with --to, a bundle")
    parser.add_argument(
        "--to", choices=("snn",), help="what a decoder becomes: snn is a spiking network that computes the same"
    )
    parser.add_argument(
        "--check",
        type=Path,
        metavar="RECORDING",
        help="with --to: decode this recording with both, demand equal estimates in every bin, and count inner steps",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Convert a recording, or a decoder where ``--to`` is given."""
    check_output(options.out, makes_folders=options.to is not None)
    check_output(options.json)
    if options.to is None:
        _convert_recording(options)
    else:
        _convert_decoder(options)
    return 0


def _convert_recording(options: argparse.Namespace) -> None:
    if options.check is not None:
        raise InputError("--check is for decoders: give --to as well, or leave it out")
    if is_bundle(options.recording):
        raise InputError(f"{options.recording} is a decoder bundle: say what it becomes with --to snn")
    recording = read_recording(options.recording, **reading_choices(options))
    write_npz(recording, options.out)
    say(f"{options.out}: {recording.n_bins} bins of {recording.n_channels} channels, {len(recording.spans)} segments")
    write_json(
        options.json,
        {
            "recording": str(options.out),
            "bins": recording.n_bins,
            "channels": recording.n_channels,
            "segments": len(recording.spans),
        },
    )


def _convert_decoder(options: argparse.Namespace) -> None:
    given = [name for name, value in reading_choices(options).items() if value is not None]
    if given:
        names = ", ".join("--bin-ms" if name == "bin_s" else "--" + name.replace("_", "-") for name in given)
        raise InputError(f"{names}: for recordings; a decoder bundle is converted as it is")
    if options.recording.is_file() and not is_bundle(options.recording):
        raise InputError(
            f"{options.recording} is not a decoder bundle, and nothing else converts to {options.to!r}; to write a "
            "recording as .npz leave --to out"
        )
    require_training_extra("convert --to")
    from bmi_decoder.training.convert import to_spiking

    bundle = read_bundle(options.recording)
    check = None if options.check is None else read_recording(options.check, bundle.manifest.bin_s)
    converted = to_spiking(bundle, check)
    write_bundle(converted, options.out)
    conversion = converted.manifest.conversion
    assert conversion is not None
    say(
        f"{options.out}: {converted.manifest.decoder}, equal to {bundle.manifest.decoder}; settles within "
        f"{conversion['inner_step_bound']} inner steps per bin"
    )
    if check is not None:
        steps = conversion["inner_steps"]
        say(
            f"  {conversion['bins']} bins of {check.source}: no estimate differs; {steps['mean']:.1f} inner steps per "
            f"bin, at most {steps['max']}"
        )
    write_json(options.json, {"bundle": str(options.out), "decoder": converted.manifest.decoder, **conversion})
