"""``bmi-decoder record``: record a session, or LSL streams, beside whatever runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmi_decoder.commands.options import positive_seconds, say, settings_from
from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import InputError
from bmi_decoder.formats.xdf_chunks import cut_to_whole_chunks
from services.control.storage.places import DataDirectory
from services.data_directory import DATA_VARIABLE, default_data_dir
from services.ingest.lsl import configure_lsl
from services.recorder.naming import FileName
from services.recorder.settings import RecorderCommand, RecorderSettings

_ACTIONS = ("start", "stop", "status")


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "record",
        help="record a session, or LSL streams, into an XDF file",
        description="Record the input, estimates, events and settings of a session until Ctrl-C. The session is not "
        "disturbed, and may be started, stopped and started again meanwhile.",
    )
    parser.add_argument("session", nargs="?", metavar="SESSION", help="of the control plane; none records streams only")
    parser.add_argument("--data-dir", type=Path, help=f"of the control plane (default ${DATA_VARIABLE}, or per user)")
    parser.add_argument(
        "--stream", action="append", default=[], metavar="NAME[:TYPE]", help="a further LSL stream; can be repeated"
    )
    parser.add_argument(
        "--kinematics", metavar="NAME", help="LSL stream of the true movement (short for --stream NAME:kinematics)"
    )
    parser.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="where files go (default: here)")
    parser.add_argument("--template", metavar="PATH", help="file name with %%p %%s %%b %%a %%r %%m (default: BIDS)")
    parser.add_argument("--participant", default="unknown", metavar="LABEL", help="%%p (default %(default)s)")
    parser.add_argument("--session-label", default="01", metavar="LABEL", help="%%s (default %(default)s)")
    parser.add_argument("--task", default="decode", metavar="LABEL", help="%%b (default %(default)s)")
    parser.add_argument("--acquisition", metavar="LABEL", help="%%a (default: none)")
    parser.add_argument("--modality", default="neural", metavar="LABEL", help="%%m (default %(default)s)")
    parser.add_argument("--seconds", type=positive_seconds, metavar="S", help="stop by itself after S seconds")
    parser.add_argument("--armed", action="store_true", help="wait for 'start' on the socket of --commands")
    parser.add_argument(
        "--pretrigger", type=float, default=60.0, metavar="S", help="seconds before 'start' to include (default 60)"
    )
    parser.add_argument("--commands", type=Path, metavar="SOCKET", help="take start, stop and status on a Unix socket")
    parser.add_argument("--status", type=Path, metavar="FILE", help="keep a JSON file that says how it fares")
    parser.add_argument("--lsl", metavar="lab|loopback|FILE", help="LSL configuration (default: $LSLAPICFG, or lab)")
    parser.add_argument("--tell", choices=_ACTIONS, help="tell the recorder at --commands, print its status, and end")
    parser.add_argument(
        "--repair", type=Path, metavar="FILE", help="cut a file whose recorder was killed to its last whole chunk"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Record, or speak to a recorder."""
    if options.repair is not None:
        cut = cut_to_whole_chunks(options.repair)
        say(f"{options.repair}: {cut} bytes behind the last whole chunk were cut off")
        return 0
    if options.tell is not None:
        return _tell(options)
    if options.armed and options.commands is None:
        raise InputError("--armed waits for 'start' on a socket: give --commands SOCKET too")
    worker = None if options.session is None else _worker(options.session, options.data_dir)
    streams = [_stream(text) for text in options.stream]
    if options.kinematics is not None:
        streams.append(_stream(f"{options.kinematics}:kinematics"))
    if worker is None and not streams:
        raise InputError("nothing to record: give a session, or streams with --stream NAME:TYPE")
    name = {
        "template": options.template,
        "participant": options.participant,
        "session": options.session_label,
        "task": options.task,
        "acquisition": options.acquisition,
        "modality": options.modality,
    }
    settings = settings_from(
        RecorderSettings,
        {
            "folder": str(options.folder),
            "file": settings_from(FileName, name, "file name"),
            "streams": tuple(streams),
            "worker": None if worker is None else str(worker),
            "commands": None if options.commands is None else str(options.commands),
            "status": None if options.status is None else str(options.status),
            "start": not options.armed,
            "pretrigger_s": options.pretrigger,
        },
        "record",
    )
    configure_lsl(options.lsl)
    from services.recorder.__main__ import record

    return record(settings, options.seconds)


def _tell(options: argparse.Namespace) -> int:
    from services.command_socket import ask

    if options.commands is None:
        raise InputError("--tell needs the recorder's socket: --commands SOCKET")
    print(ask(options.commands, RecorderCommand(command=options.tell), timeout_s=15.0).decode().strip())
    return 0


def _worker(session: str, data_dir: Path | None) -> Path:
    root = (data_dir or default_data_dir()).expanduser()
    if not (root / "sessions" / session).is_dir() or not (root / "decoders").is_dir():
        raise InputError(
            f"{root} has no session {session!r} that was ever started; give the control plane's --data-dir, and start "
            "the session once"
        )
    return DataDirectory.create(root, serves=False).session(session).settings


def _stream(text: str) -> StreamSettings:
    name, _, kind = text.partition(":")
    return settings_from(StreamSettings, {"name": name, "type": kind or "spikes"}, f"--stream {text}")
