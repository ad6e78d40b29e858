"""The ZeroMQ side of a worker."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import zmq
from zmq.backend.cython import _zmq

from bmi_decoder import wire
from bmi_decoder.errors import BmiError
from bmi_decoder.machine.live.fields import LiveFields

if TYPE_CHECKING:
    from services.keys import KeyFolder

SEND_QUEUE = 20_000
"""Messages kept per subscriber that does not read: a few MB, then its newest are dropped and the others go on."""

_LINGER_MS = 500

# A name in a library is found in what it was linked to as well, whichever way pyzmq came with libzmq.
_SEND = ctypes.cast(ctypes.CDLL(_zmq.__file__).zmq_send, ctypes.c_void_p).value


class Publisher:
    """A PUB socket on a session's endpoint.

    Parameters
    ----------
    endpoint : str
        ``tcp://ADDRESS:PORT``; port 0 picks a free one.
    keys : KeyFolder, optional
        Publish encrypted, to the owners of these keys alone.

    Attributes
    ----------
    endpoint : str
        The real one.
    server_key : str
        The public key that subscribers must know; empty where nothing is encrypted.
    send, rehearse : callable
        Send a message to the subscribers; to nobody, which only brings the code into the processor's caches.

    Raises
    ------
    BmiError
        If the port is taken or the address is not this machine's, or the keys cannot be used.
    """

    def __init__(self, endpoint: str, keys: KeyFolder | None = None) -> None:
        self._context = zmq.Context(io_threads=1)
        self._socket, self._idle = self._context.socket(zmq.PUB), self._context.socket(zmq.PUB)
        self._socket.set_hwm(SEND_QUEUE)
        self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
        self.server_key, self._access = "", None
        try:
            if keys is not None:
                # Only now: a worker that does not need them does without these modules.
                from services.worker.access import Access

                self._access = Access(self._context, keys)
                self._access.guard(self._socket)
                self.server_key = self._access.server_key
            self._socket.bind(endpoint)
        except BmiError:
            self.close()
            raise
        except zmq.ZMQError as error:
            self.close()
            why = "it is taken by another program" if error.errno == zmq.EADDRINUSE else str(error)
            raise BmiError(
                f"cannot publish on {endpoint}: {why}. Give the session another endpoint; port 0 picks a free one"
            ) from None
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.send = self._socket.send
        self.rehearse = self._idle.send

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop send, from the thread that calls this."""
        fields.send, fields.socket, fields.idle_socket = _SEND, self._socket.underlying, self._idle.underlying

    def health(self, event: dict[str, Any]) -> None:
        """Publish a health event."""
        self.send(wire.pack_health(event))

    def disconnect(self) -> int:
        """End all connections, where they are encrypted, and give how many; called by any thread.

        Subscribers connect again within fractions of a second, as far as their keys are allowed now, and miss what is
        published meanwhile.
        """
        if self._access is None:
            return 0
        from services.worker.disconnect import disconnect

        return disconnect(int(self.endpoint.rpartition(":")[2]))

    def close(self) -> None:
        """Send what is queued, within half a second, and close."""
        self._socket.close()
        self._idle.close()
        if self._access is not None:
            self._access.close()
        self._context.term()
