"""The ``bmi-decoder`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, NoReturn

from bmi_decoder import __version__
from bmi_decoder.errors import BmiError, InputError

COMMAND_GROUP = "bmi_decoder.commands"
OWN_COMMANDS = (
    "calibrate",
    "compare",
    "convert",
    "decode",
    "decoders",
    "download",
    "evaluate",
    "export",
    "inspect",
    "simulate",
    "subscribe",
    "train",
)

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """Argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see '{self.prog} --help')\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; returns the exit status: 0 done, 1 failed, 2 bad usage or input."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = build_parser(given[0] if given else None).parse_args(given)
    try:
        return int(options.run(options) or DONE)
    except InputError as error:
        print(f"bmi-decoder {options.command}: {error}", file=sys.stderr)
        return BAD_INPUT
    except BmiError as error:
        print(f"bmi-decoder {options.command}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as in `bmi-decoder subscribe ... | head`.
        sys.stderr.close()
        return DONE


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser with one sub-command, which spares loading the others, or with all if there is no such one."""
    parser = _Parser(prog="bmi-decoder", description="Streaming real-time decoding of neural recordings.")
    parser.add_argument("--version", action="version", version=f"bmi-decoder {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands = _commands()
    for name in [command] if command in commands else sorted(commands):
        commands[name]()(subparsers)
    return parser


def _commands() -> dict[str, Callable[[], Callable[[Any], None]]]:
    """How to load each command's ``register``: our own, and those of the services and of other packages."""

    def own(name: str) -> Callable[[], Callable[[Any], None]]:
        return lambda: import_module(f"bmi_decoder.commands.{name}").register

    found = {point.name: point.load for point in entry_points(group=COMMAND_GROUP)}
    return found | {name: own(name) for name in OWN_COMMANDS}


if __name__ == "__main__":
    sys.exit(main())
