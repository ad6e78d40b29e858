"""The worker's side of its command socket."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import traceback
from pathlib import Path

from pydantic import ValidationError

from bmi_decoder.config import Settings
from bmi_decoder.errors import BmiError
from services.worker.command import MAX_LINE, Command, SwapAnswer
from services.worker.exchange import Exchange

_SWITCH_INTERVAL_S = 5e-5
_TIMEOUT_S = 5.0


class CommandServer:
    """Answers commands on a Unix socket that only this user can reach.

    The socket belongs to the worker, not to whoever started it: the next control plane finds it in its place. One
    thread waits for connections, at no cost while none comes, and each is answered in a thread of its own, so that
    the state can be asked for while a swap is under way.

    Parameters
    ----------
    path : Path
        Whatever a worker that was killed has left there is replaced.
    exchange : Exchange

    Raises
    ------
    BmiError
        If there can be no socket at that path.
    """

    def __init__(self, path: Path, exchange: Exchange) -> None:
        self._path, self._exchange = path, exchange
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
        # A thread that loads must let the hot one pass soon; Python's own 5 ms are more than a bin.
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
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
                command = Command.model_validate_json(_line(connection))
            except (OSError, ValidationError) as error:
                print(f"not a command: {error}", file=sys.stderr)
                return
            try:
                answer: Settings = self._exchange.state() if command.swap is None else self._exchange.swap(command.swap)
            except Exception as error:
                traceback.print_exc()
                answer = SwapAnswer(outcome="fault", reason=f"unexpected {type(error).__name__}: {error}")
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
