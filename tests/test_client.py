from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
import zmq

from bmi_decoder.client import ALL_TOPICS, ControlClient, ControlError, Subscriber
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.wire import Estimate, EstimatePacker, Health, Heartbeat, Variant, pack_health, pack_heartbeat


class Publisher:
    """What a worker does on its endpoint."""

    def __init__(self) -> None:
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XPUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._packer = EstimatePacker((Variant.raw,), 2)

    def wait_subscribed(self, n: int) -> None:
        for _ in range(n):
            assert self.socket.poll(5000)
            self.socket.recv()

    def estimate(self, sequence: int) -> None:
        self._packer.outputs[:] = sequence
        self.socket.send(bytes(self._packer.pack(sequence, sequence, 1.0, 2.0, 0, 1, (1.0,))))


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher()
    yield publisher
    publisher.socket.close()


def test_estimates_arrive_in_order(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint) as subscriber:
        publisher.wait_subscribed(1)
        for sequence in range(3):
            publisher.estimate(sequence)
        messages = [message for _, message in zip(range(3), subscriber, strict=False)]
        assert [message.sequence for message in messages if isinstance(message, Estimate)] == [0, 1, 2]
        assert subscriber.lost == 0
        assert subscriber.receive(timeout_s=0) is None


def test_losses_are_counted(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint, topics=ALL_TOPICS) as subscriber:
        publisher.wait_subscribed(3)
        for sequence in (5, 6, 9):
            publisher.estimate(sequence)
        publisher.socket.send(pack_heartbeat(1.0, 12, 1))
        publisher.estimate(12)
        for _ in range(5):
            assert subscriber.receive(5) is not None
        assert subscriber.lost == 4


def test_a_worker_that_starts_again_is_not_a_loss(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint) as subscriber:
        publisher.wait_subscribed(1)
        for sequence in (100, 0, 1):
            publisher.estimate(sequence)
            assert subscriber.receive(5) is not None
        assert subscriber.lost == 0


def test_topics(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint, topics=["BMIH", b"BMIB"]) as subscriber:
        publisher.wait_subscribed(2)
        publisher.estimate(0)
        publisher.socket.send(pack_health({"event": "gap"}))
        publisher.socket.send(pack_heartbeat(1.0, 1, 1))
        assert subscriber.receive(5) == Health({"event": "gap"})
        assert isinstance(subscriber.receive(5), Heartbeat)


def test_latest_only_skips_to_the_newest(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint, latest_only=True) as subscriber:
        publisher.wait_subscribed(1)
        for sequence in range(500):
            publisher.estimate(sequence)
        last, received = -1, 0
        deadline = time.monotonic() + 5
        while last < 499:
            assert time.monotonic() < deadline
            message = subscriber.receive(5)
            assert isinstance(message, Estimate)
            last, received = message.sequence, received + 1
        assert received + subscriber.lost <= 500


def test_wait_connected_does_not_consume_what_is_wanted(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint) as subscriber:
        publisher.wait_subscribed(1)
        publisher.estimate(0)
        subscriber.wait_connected(5)
        subscriber.wait_connected(5)
        message = subscriber.receive(5)
        assert isinstance(message, Estimate)
        assert message.sequence == 0


def test_wait_connected_takes_a_heartbeat(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint) as subscriber:
        publisher.wait_subscribed(1)
        with pytest.raises(TimeoutError, match="nothing from tcp://"):
            subscriber.wait_connected(0.1)
        # The subscriptions for the other topics come and go with each wait; a message sent in between is lost.
        deadline = time.monotonic() + 5
        while True:
            publisher.socket.send(pack_heartbeat(1.0, 0, 1))
            try:
                subscriber.wait_connected(0.2)
                break
            except TimeoutError:
                assert time.monotonic() < deadline
        publisher.estimate(0)
        assert isinstance(subscriber.receive(5), Estimate)


def test_message_of_something_else(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint) as subscriber:
        publisher.wait_subscribed(1)
        publisher.socket.send(b"BMID and then something else")
        with pytest.raises(InputError, match="cut short"):
            subscriber.receive(5)


def test_endpoint_that_is_none() -> None:
    with pytest.raises(BmiError, match="cannot subscribe to 'nowhere'"):
        Subscriber("nowhere")


def test_control_plane_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with ControlClient(f"http://127.0.0.1:{port}") as client:
        assert not client.healthy()
        with pytest.raises(ControlError, match="is bmi-decoder serve running") as caught:
            client.sessions()
    assert caught.value.status is None


def test_url_that_is_none() -> None:
    with ControlClient("nonsense") as client, pytest.raises(ControlError, match="no answer"):
        client.sessions()
