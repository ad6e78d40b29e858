"""Each test has liblsl read a configuration in a process of its own, because it does so once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from services.ingest.lsl import CONFIGURATIONS

_ROOT = Path(__file__).parents[2]
_SHIPPED = sorted((_ROOT / "deploy" / "lsl").glob("*.cfg"))

READ = "import pylsl; pylsl.local_clock(); pylsl.StreamInfo('n', 't', 1, 1.0)"
SOCKETS = """
import psutil, pylsl
outlet = pylsl.StreamOutlet(pylsl.StreamInfo("n", "t", 1, 1.0, "float32", "id"))
for connection in psutil.Process().net_connections():
    print(connection.family.name, connection.type.name, *connection.laddr)
"""


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program; variables set to an empty string are removed."""
    variables = {name: value for name, value in (os.environ | environment).items() if value}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=_ROOT, env=variables, capture_output=True, text=True, timeout=60)


def talkative(path: Path, tmp_path: Path) -> Path:
    """A copy that makes liblsl tell which file it has read."""
    text, n = re.subn(r"^level = -1$", "level = 0", path.read_text(), flags=re.MULTILINE)
    assert n == 1
    copy = tmp_path / path.name
    copy.write_text(text)
    return copy


def test_all_of_them_are_tested() -> None:
    assert {path.stem for path in _SHIPPED} == set(CONFIGURATIONS)


@pytest.mark.parametrize("path", _SHIPPED, ids=lambda path: path.stem)
def test_liblsl_accepts_the_whole_file(path: Path, tmp_path: Path) -> None:
    copy = talkative(path, tmp_path)
    said = python(READ, LSLAPICFG=str(copy)).stderr
    assert f"Configuration loaded from {copy}" in said
    assert "Error" not in said
    assert python(READ, LSLAPICFG=str(path)).stderr == ""


def test_one_bad_line_would_be_seen(tmp_path: Path) -> None:
    copy = talkative(_SHIPPED[0], tmp_path)
    copy.write_text(copy.read_text() + "// not a comment\n")
    said = python(READ, LSLAPICFG=str(copy)).stderr
    assert f"Configuration loaded from {copy}" not in said
    assert "Error parsing config file" in said


def test_on_loopback_discovery_listens_on_loopback() -> None:
    lines = python(SOCKETS, LSLAPICFG=str(_ROOT / "deploy" / "lsl" / "loopback.cfg")).stdout.splitlines()
    assert "AF_INET SOCK_DGRAM 127.0.0.1 16571" in lines
    assert [line for line in lines if " 16571" in line] == ["AF_INET SOCK_DGRAM 127.0.0.1 16571"]
    assert not [line for line in lines if "AF_INET6" in line]


def configure(choice: object, **environment: str) -> tuple[str, str]:
    """What `configure_lsl` leaves in LSLAPICFG, and the last line of what it said."""
    program = (
        "import os; from services.ingest.lsl import configure_lsl\n"
        f"print(configure_lsl({choice!r}).resolve()); print(os.environ['LSLAPICFG'])"
    )
    done = python(program, **environment)
    if done.returncode:
        return "", done.stderr.strip().splitlines()[-1]
    returned, variable = done.stdout.split()
    assert returned == variable
    return variable, ""


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_by_name(name: str) -> None:
    path, _ = configure(name, LSLAPICFG="/elsewhere.cfg")
    assert path == str(_ROOT / "deploy" / "lsl" / f"{name}.cfg")


def test_by_path(tmp_path: Path) -> None:
    (tmp_path / "own.cfg").write_text("")
    assert configure(str(tmp_path / "own.cfg"))[0] == str(tmp_path / "own.cfg")


def test_by_default_what_the_environment_names() -> None:
    assert configure(None, LSLAPICFG="loopback")[0].endswith("deploy/lsl/loopback.cfg")
    assert configure(None, LSLAPICFG="")[0].endswith("deploy/lsl/lab.cfg")


def test_a_file_that_is_not_there() -> None:
    _, said = configure("/nowhere/lsl.cfg")
    assert "InputError: no LSL configuration '/nowhere/lsl.cfg': give lab, loopback or the path of a file" in said


def test_too_late_is_an_error() -> None:
    done = python("import pylsl; from services.ingest.lsl import configure_lsl; configure_lsl('loopback')")
    assert "RuntimeError: configure_lsl must run before pylsl is imported" in done.stderr
