"""One process answers on a socket, whatever was left there and whatever goes wrong."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path

import pytest

from bmi_decoder.config import Settings
from bmi_decoder.errors import BmiError
from services import command_socket
from services.command_socket import CommandServer, ask


class Word(Settings):
    """What is said here."""

    word: str


def echo(line: bytes) -> Settings:
    return Word.model_validate_json(line)


def test_a_socket_that_was_left_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "commands"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    first = CommandServer(path, echo)
    with pytest.raises(BmiError, match="another process takes commands there"):
        CommandServer(path, echo)
    assert ask(path, Word(word="still here")) == b'{"word":"still here"}\n'
    first.close()
    assert not path.exists()


def test_a_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("dear")
    with pytest.raises(BmiError, match="there is a file of that name"):
        CommandServer(path, echo)
    assert path.read_text() == "dear"


def test_commands_are_taken_again_behind_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_socket, "_FAULT_PAUSE_S", 0.01)
    faults = iter([OSError(errno.EMFILE, "Too many open files")] * 3)
    accept = socket.socket.accept

    def failing(self: socket.socket) -> tuple[socket.socket, object]:
        if (fault := next(faults, None)) is not None:
            raise fault
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    server = CommandServer(tmp_path / "commands", echo)
    assert ask(tmp_path / "commands", Word(word="on"), 20.0) == b'{"word":"on"}\n'
    server.close()
    assert capsys.readouterr().err.count("Too many open files") == 3


def test_a_command_that_takes_long_holds_up_no_other(tmp_path: Path) -> None:
    path, begun, over = tmp_path / "commands", threading.Event(), threading.Event()

    def answer(line: bytes) -> Settings:
        if b"long" in line:
            begun.set()
            assert over.wait(20.0)
        return echo(line)

    server = CommandServer(path, answer)
    slow = threading.Thread(target=ask, args=(path, Word(word="long"), 20.0))
    slow.start()
    assert begun.wait(20.0)
    for k in range(10):
        assert ask(path, Word(word=f"quick {k}")) == f'{{"word":"quick {k}"}}\n'.encode()
    over.set()
    slow.join()
    server.close()


def test_commands_are_taken_when_there_is_memory_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "commands"

    def answer(line: bytes) -> Settings:
        if b"large" in line:
            raise MemoryError
        return echo(line)

    server = CommandServer(path, answer)
    for _ in range(20):
        with pytest.raises(BmiError, match="no answer"):
            ask(path, Word(word="large"))
    assert ask(path, Word(word="small")) == b'{"word":"small"}\n'
    server.close()
    assert capsys.readouterr().err.count("no memory for a command") == 20
