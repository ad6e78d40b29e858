"""``bmi-decoder rig``: an LSL rig from a recording or a simulated subject."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmi_decoder.commands.options import say, settings_from
from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_recording
from bmi_decoder.simulation import SubjectSettings
from services.ingest.lsl import configure_lsl
from services.rig.source import RecordingSource, SimulatedSource, Source
from services.rowlog import RowLogWriter

SIMULATED = "simulated"


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("rig", help="be a rig: push a recording or a simulated subject over LSL")
    parser.add_argument("source", metavar="RECORDING|simulated")
    parser.add_argument("--stream", required=True, metavar="NAME", help="LSL stream name")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="times real time (default 1)")
    parser.add_argument("--loop", action="store_true", help="play a recording again and again")
    parser.add_argument("--bin-ms", type=float, metavar="MS", help="sum the recording into wider bins first")
    parser.add_argument("--no-wait", action="store_true", help="begin at once, not when the first inlet connects")
    parser.add_argument("--subject", type=int, default=0, metavar="N", help="which simulated subject")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which session of that subject")
    parser.add_argument("--source-id", metavar="ID", help="LSL source_id (default: made from the stream name)")
    parser.add_argument("--lsl", metavar="lab|loopback|FILE", help="LSL configuration (default: $LSLAPICFG, or lab)")
    parser.add_argument("--push-log", type=Path, metavar="FILE", help="log the moment of each push")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Play until the end or until interrupted."""
    if not 0 < options.speed < 1e6:
        raise InputError(f"--speed must be a positive factor, got {options.speed}")
    source = _source(options)
    configure_lsl(options.lsl)
    # Only now, because liblsl reads its configuration when it is loaded.
    from services.rig.outlets import open_outlets
    from services.rig.player import Player
    from services.rig.playing import play_until_stopped

    log = RowLogWriter(options.push_log, 2) if options.push_log else None
    source_id = options.source_id or f"bmi-decoder-rig-{options.stream}"
    outlets = open_outlets(source, options.stream, options.speed, source_id)
    player = Player(source, outlets, options.speed, log)

    rate = options.speed / source.bin_s
    say(f"rig {options.stream!r}: {source.name}, {len(source.labels)} channels at {rate:g} bins/s")
    if not play_until_stopped(player, wait=not options.no_wait):
        return 0
    say(f"rig {options.stream!r}: pushed {player.pushed} bins")
    return 0


def _source(options: argparse.Namespace) -> Source:
    if options.source == SIMULATED:
        settings = {"subject_seed": options.subject, "seed": options.seed}
        if options.bin_ms is not None:
            settings["bin_s"] = options.bin_ms / 1e3
        return SimulatedSource(settings_from(SubjectSettings, settings, "rig simulated"))
    bin_s = None if options.bin_ms is None else options.bin_ms / 1e3
    return RecordingSource(read_recording(options.source, bin_s), options.loop)
