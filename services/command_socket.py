"""Commands to a process of ours: one JSON object per line over a Unix socket, and one line back."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from bmi_decoder.config import Settings
from bmi_decoder.errors import BmiError

MAX_LINE = 16 << 20
"""Longest command or answer in bytes."""

_TIMEOUT_S = 5.0
_FAULT_PAUSE_S = 0.5
_AT_ONCE = 4
"""Commands that are answered side by side; others wait."""


class CommandServer:
    """Answers commands on a Unix socket that only this user can reach.

    The socket belongs to the process, not to whoever started it: the next control plane finds it in its place. Some
    threads wait for connections, at no cost while none comes, so that the state can be asked for while a swap is under
    way. None is started later: where memory is short a new thread may never begin, and who starts it waits for ever.

    Parameters
    ----------
    path : Path
        What a process that was killed has left there is replaced.
    answer : callable
        Answers one line; may take long, and may be called by several threads at once.

    Raises
    ------
    BmiError
        If there can be no socket at that path, or another process takes commands there.
    """

    def __init__(self, path: Path, answer: Callable[[bytes], Settings]) -> None:
        self._path, self._answer = path, answer
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._closing = threading.Event()
        try:
            with _one_at_a_time(path.parent):
                _remove_left_over(path)
                mask = os.umask(0o177)
                try:
                    self._listening.bind(str(path))
                finally:
                    os.umask(mask)
                self._listening.listen()
        except OSError as error:
            self._listening.close()
            why = "another process takes commands there" if error.errno == errno.EADDRINUSE else str(error)
            raise BmiError(f"cannot take commands at {path}: {why}") from None
        for _ in range(_AT_ONCE):
            threading.Thread(target=self._accept, name="commands", daemon=True).start()

    def close(self) -> None:
        """Take no more commands. One that is under way ends with the process, and its connection tells of it."""
        self._closing.set()
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError as error:
                if self._closing.is_set():
                    return
                # Too many open files, for example: that may pass, and nobody else would take commands.
                print(f"cannot take a command at {self._path}: {error}; trying again", file=sys.stderr)
                self._closing.wait(_FAULT_PAUSE_S)
                continue
            try:
                self._serve(connection)
            except MemoryError as error:
                print(f"no memory for a command at {self._path}: {error}", file=sys.stderr)

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


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep others from putting a socket into the same folder meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_left_over(path: Path) -> None:
    """Make room at `path`, unless a living process listens there, or it is no socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # alive, and too busy to take more connections
            pass
        except ConnectionRefusedError:
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise OSError(errno.EEXIST, "there is a file of that name") from None
            path.unlink()
            return
        except FileNotFoundError:
            return
    raise OSError(errno.EADDRINUSE, "")


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
