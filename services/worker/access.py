"""Who may subscribe to a worker that publishes encrypted."""

from __future__ import annotations

import time
from typing import Any

import zmq
from zmq.auth.thread import ThreadAuthenticator

from services.keys import KeyFolder

_DOMAIN = "bmi-decoder"
_REFUSAL_S = 0.02
"""Pause behind each refusal, so that somebody who tries keys without end takes no time from the hot thread."""


class Access:
    """Encrypts what sockets of a context publish, and lets in only the owners of keys that are allowed.

    ZeroMQ asks when somebody connects, in a thread that otherwise sleeps. Encryption is ZeroMQ's own thread's work, and
    the thread that publishes notices nothing.

    Parameters
    ----------
    context : zmq.Context
    keys : KeyFolder

    Raises
    ------
    InputError
        If the server's own key cannot be used.
    """

    def __init__(self, context: zmq.Context[Any], keys: KeyFolder) -> None:
        self._keys, self._pair = keys, keys.server()
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(_DOMAIN, self)

    @property
    def server_key(self) -> str:
        """What subscribers must know of us."""
        return self._pair.public

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Let a socket that is not bound yet take none but encrypted connections of those who are allowed."""
        socket.curve_server = True
        socket.curve_secretkey = self._pair.secret.encode()
        socket.zap_domain = _DOMAIN.encode()
        # Without it, whoever knows the server's public key would be let in once our thread has ended.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a key is allowed; called by ZeroMQ's authenticator."""
        allowed = self._keys.allows(key.decode())
        if not allowed:
            time.sleep(_REFUSAL_S)
        return allowed

    def close(self) -> None:
        """End the thread."""
        self._authenticator.stop()
