"""How the ``bmi-decoder`` command finds its sub-commands and ends; what they do is in tests/commands."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace
from typing import Any

import pytest

from bmi_decoder import __version__, cli
from bmi_decoder.cli import main
from bmi_decoder.errors import BmiError, BundleError, InputError, ProgramError, StreamMismatchError

STATE = SimpleNamespace(raised=None, options=None)


def register(subparsers: Any) -> None:
    """A command as another package could bring it."""
    parser = subparsers.add_parser("extra", help="something more")
    parser.add_argument("--number", type=int)
    parser.set_defaults(run=run)


def run(options: Any) -> Any:
    STATE.options = options
    if isinstance(STATE.raised, BaseException):
        raise STATE.raised
    return STATE.raised


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes ``bmi-decoder extra`` return or raise something."""
    points = EntryPoints([EntryPoint("extra", f"{__name__}:register", cli.COMMAND_GROUP)])
    monkeypatch.setattr(cli, "entry_points", lambda **wanted: points.select(**wanted))
    monkeypatch.setattr(EntryPoint, "load", lambda point: register)

    def ending(outcome: Any) -> int:
        STATE.raised = outcome
        return main(["extra", "--number", "3"])

    return ending


@pytest.mark.parametrize(("outcome", "status"), [(None, 0), (0, 0), (1, 1), (2, 2)])
def test_status_is_what_the_command_returns(extra: Any, outcome: Any, status: int) -> None:
    assert extra(outcome) == status
    assert STATE.options.number == 3


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BmiError("the disk is full"), 1),
        (InputError("no such file"), 2),
        (BundleError("damaged"), 2),
        (ProgramError("unsafe"), 2),
        (StreamMismatchError("95 channels"), 2),
    ],
)
def test_errors_that_a_user_can_mend(extra: Any, error: Exception, status: int, capsys: Any) -> None:
    assert extra(error) == status
    assert capsys.readouterr() == ("", f"bmi-decoder extra: {error}\n")


def test_an_interrupt_ends_quietly(extra: Any, capsys: Any) -> None:
    assert extra(KeyboardInterrupt()) == 130
    assert capsys.readouterr() == ("", "")


def test_our_own_mistakes_keep_their_traceback(extra: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        extra(ZeroDivisionError())


def test_commands_of_the_services_are_found() -> None:
    commands = cli._commands()
    assert set(cli.OWN_COMMANDS) | {"serve", "rig", "demo"} <= set(commands)


def test_help_lists_every_command(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    first_words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert {*cli.OWN_COMMANDS, "serve", "rig", "demo"} <= set(first_words)


def test_version(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"bmi-decoder {__version__}\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As in ``bmi-decoder subscribe ... | head``."""
    code = """
import sys
from bmi_decoder import cli

def register(subparsers):
    subparsers.add_parser("flood").set_defaults(run=lambda options: print("x" * 1_000_000))

cli._commands = lambda: {"flood": lambda: register}
sys.exit(cli.main(["flood"]))
"""
    script = '$1 -c "$2" | head -c 1; exit ${PIPESTATUS[0]}'
    done = subprocess.run(["bash", "-c", script, "bash", sys.executable, code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("x", "")
    assert done.returncode == 0


def test_commands_beside_a_server_load_none() -> None:
    code = (
        "import sys; from bmi_decoder.cli import build_parser\n"
        "for command in ('certify', 'keys', 'record', 'token'): build_parser(command)\n"
        "print({'uvicorn', 'uvloop'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
