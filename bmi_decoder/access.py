"""How a subscriber shows its key, and learns that it is not let in."""

from __future__ import annotations

import itertools
from pathlib import Path

import zmq
from zmq.utils.monitor import parse_monitor_message

from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.keys import KeyPair, read_pair, read_public

_CONCLUSIVE = 3
"""Connections that end without a word before that is taken for an answer: the first may be a worker on its way out.

None is an answer where one has worked: while the worker is down, what relays for it takes connections and drops them.
"""

_FAILED = zmq.Event.HANDSHAKE_FAILED_AUTH | zmq.Event.HANDSHAKE_FAILED_PROTOCOL | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
_numbers = itertools.count()


class AccessError(BmiError):
    """An endpoint does not let us in with the keys that we have shown, or without any."""


def use_keys(socket: zmq.Socket[bytes], server_key: str | Path | None, key: str | Path | KeyPair | None) -> None:
    """Have a socket that is not connected yet talk encrypted, to one server alone.

    Raises
    ------
    InputError
        If one of both is missing or no key.
    """
    if server_key is None or key is None:
        have, lack = ("server_key", "key") if key is None else ("key", "server_key")
        raise InputError(
            f"an encrypted endpoint needs two keys, the server's public one and our own: there is a {have} and no "
            f"{lack}; 'bmi-decoder keys generate NAME' makes a key, and the session's status shows the server's"
        )
    pair = key if isinstance(key, KeyPair) else read_pair(key)
    socket.curve_serverkey = read_public(server_key).encode()
    socket.curve_publickey, socket.curve_secretkey = pair.public.encode(), pair.secret.encode()


class Refusals:
    """Watches a socket for connections that fail over keys: ZeroMQ itself tries again for ever, and says nothing.

    Parameters
    ----------
    watched : zmq.Socket
    endpoint : str
        For the error.
    with_keys : bool
        Whether the socket shows keys.

    Attributes
    ----------
    socket : zmq.Socket
        Becomes readable when there is something to `read`.
    """

    def __init__(self, watched: zmq.Socket[bytes], endpoint: str, with_keys: bool) -> None:
        self._watched, self._endpoint, self._with_keys = watched, endpoint, with_keys
        self._silent, self._let_in = 0, False
        address = f"inproc://refusals-{next(_numbers)}"
        watched.monitor(address, _FAILED | zmq.Event.HANDSHAKE_SUCCEEDED)
        self.socket: zmq.Socket[bytes] = watched.context.socket(zmq.PAIR)
        self.socket.setsockopt(zmq.LINGER, 0)
        # Without a limit: ZeroMQ's own thread would wait for room.
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.connect(address)

    def read(self) -> None:
        """Take in what has happened.

        Raises
        ------
        AccessError
            If it means that we are not let in.
        """
        while self.socket.poll(0):
            said = parse_monitor_message(self.socket.recv_multipart())
            if said["event"] == zmq.Event.HANDSHAKE_SUCCEEDED:
                self._let_in = True
                continue
            self._silent += said["event"] == zmq.Event.HANDSHAKE_FAILED_NO_DETAIL and not self._let_in
            if said["event"] == zmq.Event.HANDSHAKE_FAILED_AUTH:
                raise AccessError(
                    f"{self._endpoint} does not let this key in: it was never allowed there, or is revoked. Who runs "
                    "the server allows it with 'bmi-decoder keys allow NAME.key'"
                )
            if said["event"] == zmq.Event.HANDSHAKE_FAILED_PROTOCOL or self._silent >= _CONCLUSIVE:
                raise AccessError(f"{self._endpoint} ends every connection: {self._likely_reason()}")

    def close(self) -> None:
        """Watch no more."""
        self._watched.disable_monitor()
        self.socket.close()

    def _likely_reason(self) -> str:
        if self._with_keys:
            return (
                "it has another key than the server_key that was given, or none. It may have a new one: see server_key "
                "in the session's status; without one there, leave out the keys"
            )
        return (
            "it is encrypted, or no session of bmi-decoder. Give the server's public key and your own (server_key and "
            "key; in 'bmi-decoder subscribe' --server-key and --key)"
        )
