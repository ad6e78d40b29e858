"""``bmi-decoder replay``: be the rig of a recording, or decode it again and compare."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bmi_decoder.commands.options import add_json, say, write_json
from bmi_decoder.errors import InputError
from bmi_decoder.recorded_session import read_session
from services.ingest.lsl import configure_lsl


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "replay",
        help="be the rig of a recorded session, or decode it again and compare every bit",
        description="Push the input and the true movement of a recorded session over LSL, with the pace that it had.",
    )
    parser.add_argument("recording", type=Path, metavar="REC.xdf")
    parser.add_argument("--stream", metavar="NAME", help="LSL name of the input (default: as recorded)")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="times the recorded pace (default 1)")
    parser.add_argument("--no-wait", action="store_true", help="begin at once, not when the first inlet connects")
    parser.add_argument(
        "--check", action="store_true", help="decode it again with workers of its own; exit 1 at the first difference"
    )
    parser.add_argument("--lsl", metavar="lab|loopback|FILE", help="LSL configuration (default: $LSLAPICFG, or lab)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Play until the end or until interrupted."""
    if not 0 < options.speed < math.inf:
        raise InputError(f"--speed must be a positive factor, got {options.speed}")
    session = read_session(options.recording)
    for remark in session.remarks:
        say(f"{options.recording}: {remark}")
    configure_lsl(options.lsl)
    # Only now, because liblsl reads its configuration when it is loaded.
    if options.check:
        from services.replay.again import decode_again

        result = decode_again(session, options.speed, say)
        write_json(options.json, asdict(result))
        if result.difference:
            say(f"{options.recording}: {result.difference}")
            return 1
        say(f"{options.recording}: {result.compared} of {result.estimates} estimates are the same, bit for bit")
        return 0
    from services.replay.player import Part, StreamPlayer, can_be_played
    from services.rig.playing import play_until_stopped

    neural = session.neural
    others = [stream for stream in session.streams if stream is not neural and can_be_played(stream)]
    name = options.stream or neural.name
    parts = [Part(neural, name, np.arange(len(neural.times)))]
    for one in others:
        # A stream that is named after the input stays so.
        named = name + one.name.removeprefix(neural.name) if one.name.startswith(neural.name) else one.name
        parts.append(Part(one, named, np.arange(len(one.times))))
    player = StreamPlayer(parts, options.speed)

    say(f"replay {name!r}: {options.recording}, {len(neural.times)} samples at {neural.rate_hz * options.speed:g} Hz")
    if not play_until_stopped(player, wait=not options.no_wait):
        return 0
    say(f"replay {name!r}: pushed {player.pushed} samples")
    write_json(options.json, {"pushed": player.pushed})
    return 0
