"""Receives what a session publishes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from bmi_decoder import wire
from bmi_decoder.access import AccessError, Refusals, use_keys
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.keys import KeyPair

__all__ = ["ALL_TOPICS", "AccessError", "Subscriber"]

ALL_TOPICS = (wire.ESTIMATE, wire.HEALTH, wire.HEARTBEAT)
_RECEIVE_QUEUE = 1_000_000


class Subscriber:
    """Receives the messages of one session.

    Parameters
    ----------
    endpoint : str
        The session's `endpoint`, for example ``tcp://127.0.0.1:5555``.
    topics : sequence of bytes or str
        Kinds to receive: ``BMID`` estimates, ``BMIH`` health events, ``BMIB`` heartbeats. The default is
        estimates; `ALL_TOPICS` is everything.
    latest_only : bool
        Keep only the newest message and drop the older ones: for a display or a controller that polls. Drops
        made here count in `lost` too.
    server_key : str or Path, optional
        Of a session that publishes encrypted: the `server_key` of its status, or the file ``server.key``.
    key : str or Path or KeyPair, optional
        With it: our own key, which the server allows; the file ``NAME.key_secret``.

    Attributes
    ----------
    lost : int
        Estimates that were sent but did not arrive, from the sequence numbers of those that did.

    Examples
    --------
    >>> with Subscriber("tcp://127.0.0.1:9", topics=ALL_TOPICS) as subscriber:
    ...     subscriber.receive(timeout_s=0.01) is None
    True
    """

    def __init__(
        self,
        endpoint: str,
        topics: Sequence[bytes | str] = (wire.ESTIMATE,),
        latest_only: bool = False,
        server_key: str | Path | None = None,
        key: str | Path | KeyPair | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.lost = 0
        self._expected: int | None = None
        self._wanted = tuple(topic.encode() if isinstance(topic, str) else topic for topic in topics)
        self._first: bytes | None = None
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        if latest_only:
            self._socket.setsockopt(zmq.CONFLATE, 1)
        else:
            self._socket.setsockopt(zmq.RCVHWM, _RECEIVE_QUEUE)
        self._refusals = Refusals(self._socket, endpoint, server_key is not None)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._refusals.socket, zmq.POLLIN)
        try:
            if server_key is not None or key is not None:
                use_keys(self._socket, server_key, key)
            for topic in self._wanted:
                self._socket.subscribe(topic)
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise BmiError(f"cannot subscribe to {endpoint!r}: {error}; expected tcp://ADDRESS:PORT") from None
        except InputError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if it is open; what has not been received is dropped."""
        if self._socket.closed:
            return
        self._refusals.close()
        self._socket.close()

    def wait_connected(self, timeout_s: float = 5.0) -> None:
        """Wait until messages arrive.

        A worker sends a heartbeat when it has no data, so this works on a silent rig too. An estimate or
        event that arrives here is not consumed.

        Raises
        ------
        TimeoutError
            If nothing arrives in `timeout_s` seconds.
        AccessError
            If the endpoint lets us in with other keys only, or without.
        """
        if self._first is not None:
            return
        extra = [topic for topic in ALL_TOPICS if topic not in self._wanted]
        for topic in extra:
            self._socket.subscribe(topic)
        try:
            if not self._arrives(time.monotonic() + timeout_s):
                raise TimeoutError(
                    f"nothing from {self.endpoint} in {timeout_s:g} s; is the session running, and is this "
                    "the endpoint that its status shows?"
                )
            frame = self._socket.recv()
        finally:
            for topic in extra:
                self._socket.unsubscribe(topic)
        self._first = frame if frame[:4] in self._wanted else None

    def receive(self, timeout_s: float | None = None) -> wire.Message | None:
        """The next message.

        Parameters
        ----------
        timeout_s : float, optional
            Longest wait; 0 does not wait, None waits for ever.

        Returns
        -------
        Estimate, Health, Heartbeat or None
            None if nothing arrived in time.

        Raises
        ------
        InputError
            If a message cannot be understood.
        AccessError
            If the endpoint lets us in with other keys only, or without.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            frame, self._first = self._first, None
            if frame is None:
                if not self._arrives(deadline):
                    return None
                frame = self._socket.recv()
            if frame[:4] in self._wanted:
                message = wire.parse(frame)
                self._count(message)
                return message

    def __iter__(self) -> Iterator[wire.Message]:
        while True:
            message = self.receive()
            if message is not None:
                yield message

    def _arrives(self, deadline: float | None) -> bool:
        """Wait for a message; False if none has come at `deadline`, on the monotonic clock."""
        while True:
            wait = None if deadline is None else max(0, round((deadline - time.monotonic()) * 1000))
            ready = dict(self._poller.poll(wait))
            if self._refusals.socket in ready:
                self._refusals.read()
            if self._socket in ready or not ready:
                return bool(ready)

    def _count(self, message: wire.Message) -> None:
        if isinstance(message, wire.Estimate):
            sequence, following = message.sequence, message.sequence + 1
        elif isinstance(message, wire.Heartbeat):
            sequence = following = message.next_sequence
        else:
            return
        if self._expected is not None and sequence > self._expected:
            self.lost += sequence - self._expected
        self._expected = following
