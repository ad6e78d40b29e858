"""The ``bmi-decoder`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import NoReturn

from bmi_decoder import __version__
from bmi_decoder.commands import decode, decoders, evaluate, simulate, subscribe, train
from bmi_decoder.errors import BmiError, InputError

COMMAND_GROUP = "bmi_decoder.commands"

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """Argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see '{self.prog} --help')\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; returns the exit status: 0 done, 1 failed, 2 bad usage or input."""
    parser = build_parser()
    options = parser.parse_args(arguments)
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


def build_parser() -> argparse.ArgumentParser:
    """The parser with all sub-commands, those of installed packages included."""
    parser = _Parser(prog="bmi-decoder", description="Streaming real-time decoding of neural recordings.")
    parser.add_argument("--version", action="version", version=f"bmi-decoder {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (decoders, simulate, train, evaluate, decode, subscribe):
        module.register(subparsers)
    for point in sorted(entry_points(group=COMMAND_GROUP), key=lambda point: point.name):
        point.load()(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
