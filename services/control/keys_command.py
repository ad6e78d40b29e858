"""The `keys` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from bmi_decoder.commands.options import say
from bmi_decoder.config import WorkerSettings
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.keys import KeyPair, is_key, read_public, write_pair
from services.command_socket import ask
from services.control.sessions.worker_process import WORKER_MODULE, is_process_of
from services.control.storage.places import DataDirectory
from services.data_directory import DATA_VARIABLE, default_data_dir
from services.keys import NAME, KeyFolder
from services.worker.command import Command, DisconnectAnswer, DisconnectCommand


def register(subparsers: Any) -> None:
    """Add ``keys`` to an argparse command line."""
    parser = subparsers.add_parser(
        "keys",
        help="who may receive encrypted estimates: make, allow, revoke and list CURVE keys",
        description="generate makes a key for somebody who wants to subscribe, anywhere. The other actions are for who "
        "runs the control plane: allow and revoke hold from the next connection on, disconnect has everybody who "
        "receives connect again, rotate gives the server a new key for sessions that are started from then on.",
    )
    parser.add_argument("action", choices=("generate", "allow", "revoke", "disconnect", "list", "rotate"))
    parser.add_argument("what", nargs="?", metavar="NAME|KEY", help="NAME of a key; for allow, its file NAME.key")
    parser.add_argument("--name", help="for allow: under which the key is known (default: the name of its file)")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="for generate (default: here)")
    parser.add_argument("--data-dir", type=Path, help=f"of the control plane (default ${DATA_VARIABLE}, or per user)")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Change or show keys; workers take notice at once."""
    if args.action in ("generate", "allow", "revoke") and args.what is None:
        args.usage_error(f"{args.action} needs " + ("the KEY, a file" if args.action == "allow" else "a NAME"))
    if args.action in ("disconnect", "list", "rotate") and args.what is not None:
        args.usage_error(f"{args.action} takes no NAME, got {args.what!r}: it is about everybody")
    if args.action == "generate":
        return _generate(args.what, args.out)
    places = DataDirectory.create(args.data_dir or default_data_dir(), serves=False)
    folder = KeyFolder(places.keys)
    try:
        folder.create()
        if args.action == "allow":
            _allow(folder, args.what, args.name)
        elif args.action == "revoke":
            folder.revoke(args.what)
            say(
                f"{args.what} gets no new connection; 'keys disconnect' ends the connections of everybody, "
                "who must then connect again"
            )
        elif args.action == "disconnect":
            return _disconnect(places)
        elif args.action == "rotate":
            folder.rotate()
            say("sessions that are started from now on have the new key; give it to their subscribers")
    except OSError as error:
        raise BmiError(f"cannot use keys in {folder.path}: {error.strerror}") from None
    if args.action in ("list", "rotate"):
        print(f"server  {folder.server().public}  {folder.path / 'server.key'}")
    if args.action == "list":
        for name, public in folder.allowed().items():
            print(f"allowed  {public}  {name}")
    return 0


def _generate(name: str, out: Path) -> int:
    if not NAME.fullmatch(name):
        raise InputError(f"a name has 1 to 64 letters, digits and _.@- after the first, got {name!r}")
    secret, public = write_pair(out, name, KeyPair.generate())
    print(f"{secret}  stays with you: what subscribes needs it\n{public}  goes to who runs the server: keys allow")
    return 0


def _disconnect(places: DataDirectory) -> int:
    """End the connections of all sessions that run and encrypt; 1 if one has not answered."""
    unanswered = False
    for path in sorted(places.root.glob("sessions/*/worker.json")):
        name = path.parent.name
        try:
            ended = _disconnect_session(path)
        except (BmiError, ValidationError) as error:
            unanswered = True
            say(f"{name}: {error}")
            continue
        if ended is not None:
            print(f"{name}  {ended} connection{'s' * (ended != 1)} ended; those who are allowed are back at once")
    return int(unanswered)


def _disconnect_session(settings: Path) -> int | None:
    """End the connections of one session; gives how many, None if it does not run or does not encrypt."""
    try:
        worker = WorkerSettings.model_validate_json(settings.read_bytes())
    except FileNotFoundError:  # deleted meanwhile
        return None
    except OSError as error:
        raise BmiError(f"cannot read {settings}: {error.strerror}") from None
    except ValidationError:
        if not _runs(settings):
            return None
        raise BmiError("its worker.json is none of this version; stop and start it") from None
    if worker.keys is None:
        return None
    if worker.commands is None:
        if not _runs(settings):
            return None
        raise BmiError("takes no commands; stop and start it")
    if not Path(worker.commands).exists():
        return None
    line = ask(Path(worker.commands), Command(disconnect=DisconnectCommand()))
    return DisconnectAnswer.model_validate_json(line).connections


def _runs(settings: Path) -> bool:
    return any(is_process_of(process, WORKER_MODULE, settings) for process in psutil.process_iter())


def _allow(folder: KeyFolder, what: str, name: str | None) -> None:
    if name is None and is_key(what):
        raise InputError("say whose key this is: --name NAME")
    folder.allow(name or Path(what).stem, read_public(what))
