"""The `token` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from services.control.access.tokens import TokenFile, tokens_path
from services.control.storage.places import DataDirectory
from services.data_directory import DATA_VARIABLE, default_data_dir


def register(subparsers: Any) -> None:
    """Add ``token`` to an argparse command line."""
    parser = subparsers.add_parser("token", help="who may use a control plane: add, list or remove tokens")
    parser.add_argument("action", choices=("add", "list", "remove"))
    parser.add_argument("name", nargs="?", help="of the token: the person or program that gets it")
    parser.add_argument(
        "--scope",
        choices=("read", "control"),
        default="control",
        help="read looks, control changes (default %(default)s)",
    )
    parser.add_argument("--data-dir", type=Path, help=f"of the control plane (default ${DATA_VARIABLE}, or per user)")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Change or show the tokens; a running control plane takes notice at once."""
    file = TokenFile(tokens_path(DataDirectory.create(args.data_dir or default_data_dir(), serves=False).root))
    if args.action == "list":
        for token in file.tokens():
            print(f"{token.name}  {token.scope}  {token.created_at}")
        return 0
    if args.name is None:
        args.usage_error(f"{args.action} needs the NAME of a token")
    if args.action == "add":
        print(file.add(args.name, args.scope))
    else:
        file.remove(args.name)
    return 0
