"""The ZeroMQ side of a worker."""

from __future__ import annotations

from typing import Any

import zmq

from bmi_decoder import wire
from bmi_decoder.errors import BmiError

SEND_QUEUE = 20_000
"""Messages kept per subscriber that does not read: a few MB, then its newest are dropped and the others go on."""

_LINGER_MS = 500


class Publisher:
    """A PUB socket on a session's endpoint.

    Parameters
    ----------
    endpoint : str
        ``tcp://ADDRESS:PORT``; port 0 picks a free one.

    Attributes
    ----------
    endpoint : str
        The real one.
    send, rehearse : callable
        Send a message to the subscribers; to nobody, which only brings the code into the processor's caches.

    Raises
    ------
    BmiError
        If the port is taken or the address is not this machine's.
    """

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context(io_threads=1)
        self._socket, self._idle = self._context.socket(zmq.PUB), self._context.socket(zmq.PUB)
        self._socket.set_hwm(SEND_QUEUE)
        self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            why = "it is taken by another program" if error.errno == zmq.EADDRINUSE else str(error)
            raise BmiError(
                f"cannot publish on {endpoint}: {why}. Give the session another endpoint; port 0 picks a free one"
            ) from None
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.send = self._socket.send
        self.rehearse = self._idle.send

    def health(self, event: dict[str, Any]) -> None:
        """Publish a health event."""
        self.send(wire.pack_health(event))

    def close(self) -> None:
        """Send what is queued, within half a second, and close."""
        self._socket.close()
        self._idle.close()
        self._context.term()
