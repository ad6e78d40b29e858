"""Commands to a process of ours: one JSON object per line over a Unix socket, and one line back."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from bmi_decoder.config import Settings
from bmi_decoder.errors import BmiError

MAX_LINE = 16 << 20
"""Longest command or answer in bytes."""

_TIMEOUT_S = 5.0


class CommandServer:
    """Answers commands on a Unix socket that only this user can reach.

    The socket belongs to the process, not to whoever started it: the next control plane finds it in its place. One
    thread waits for connections, at no cost while none comes, and each is answered in a thread of its own, so that
    the state can be asked for while a swap is under way.

    Parameters
    ----------
    path : Path
        Whatever a process that was killed has left there is replaced.
    answer : callable
        Answers one line; may take long, and may be called by several threads at once.

    Raises
    ------
    BmiError
        If there can be no socket at that path.
    """

    def __init__(self, path: Path, answer: Callable[[bytes], Settings]) -> None:
        self._path, self._answer = path, answer
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            path.unlink(missing_ok=True)
            self._listening.bind(str(path))
            self._listening.listen()
        except OSError as error:
            self._listening.close()
            raise BmiError(f"cannot take commands at {path}: {error}") from None
        finally:
            os.umask(mask)
        threading.Thread(target=self._accept, name="commands", daemon=True).start()

    def close(self) -> None:
        """Take no more commands. One that is under way ends with the process, and its connection tells of it."""
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="command", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_TIMEOUT_S)
            try:
                answer = self._answer(_line(connection))
            except (OSError, ValidationError) as error:
                print(f"not a command: {error}", file=sys.stderr)
                return
            # Whoever asked may have died meanwhile; the next one asks for the state.
            with contextlib.suppress(OSError):
                connection.sendall(answer.model_dump_json().encode() + b"\n")


def _line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        received += part
        if not part or len(received) > MAX_LINE:
            raise OSError(f"no whole line in {len(received)} bytes")
    return bytes(received)


def ask(path: Path, command: Settings, timeout_s: float = _TIMEOUT_S) -> bytes:
    """Send a command and wait for its answer.

    Raises
    ------
    BmiError
        If nobody answers there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(command.model_dump_json(exclude_none=True).encode() + b"\n")
            return _line(connection)
        except OSError as error:
            raise BmiError(f"no answer at {path}: {error}; is its process running?") from None
