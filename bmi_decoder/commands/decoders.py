"""``bmi-decoder decoders``: what can be trained."""

from __future__ import annotations

import argparse
from typing import Any

from bmi_decoder.commands.options import add_json, write_json
from bmi_decoder.commands.training_extra import require_training_extra


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("decoders", help="list the decoders that can be trained")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List decoders with their presets."""
    require_training_extra("decoders")
    from bmi_decoder.decoders.registry import decoder_class, decoder_names

    classes = {name: decoder_class(name) for name in decoder_names()}
    if options.json != "-":
        for name, cls in classes.items():
            print(f"{name:16} {cls.summary}  [presets: {', '.join(cls.presets)}]")
    write_json(
        options.json,
        {
            "decoders": [
                {
                    "name": name,
                    "summary": cls.summary,
                    "presets": {
                        preset: {**value.hyper_parameters, **value.recipe.model_dump()}
                        for preset, value in cls.presets.items()
                    },
                }
                for name, cls in classes.items()
            ]
        },
    )
    return 0
