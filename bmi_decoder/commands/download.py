"""``bmi-decoder download``: public recordings, checked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from bmi_decoder.commands.options import say
from bmi_decoder.download import download
from bmi_decoder.errors import InputError
from bmi_decoder.formats.odoherty_sessions import RECORD_URL, SESSIONS


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("download", help="fetch a public recording and verify its checksum")
    parser.add_argument("dataset", choices=["odoherty"], help="reaching sessions of O'Doherty and Sabes, Zenodo 583331")
    parser.add_argument("--session", action="append", required=True, metavar="NAME", help=", ".join(SESSIONS))
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder for the files (default: here)")
    parser.add_argument("--url", default=RECORD_URL, metavar="URL", help="folder of a mirror that holds the same files")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Fetch one session after the other."""
    names = [name.removesuffix(".mat") for name in options.session]
    unknown = next((name for name in names if name not in SESSIONS), None)
    if unknown is not None:
        raise InputError(f"no checksum is known for session {unknown!r}; there is one for {', '.join(SESSIONS)}")
    if not options.url.startswith(("https://", "http://")):
        raise InputError(f"--url must begin with https:// or http://, got {options.url!r}")
    for name in names:
        path = options.out / f"{name}.mat"
        fetched = _fetch(f"{options.url.rstrip('/')}/{path.name}", path, SESSIONS[name])
        say(f"{path}: {'checksum is right' if fetched else 'was there already, checksum is right'}")
    return 0


def _fetch(url: str, path: Path, md5: str) -> bool:
    columns = (TextColumn(path.name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        return download(url, path, md5, lambda done, total: bar.update(task, completed=done, total=total))
