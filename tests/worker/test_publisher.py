from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import psutil
import pytest
import zmq

from bmi_decoder.client import ALL_TOPICS, Subscriber
from bmi_decoder.errors import BmiError
from bmi_decoder.wire import Estimate, EstimatePacker, Health, Variant, pack_heartbeat
from services.worker.publisher import SEND_QUEUE, Publisher

LOOPBACK = "tcp://127.0.0.1:0"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher(LOOPBACK)
    yield publisher
    publisher.close()


def test_port_zero_is_a_free_port(publisher: Publisher) -> None:
    other = Publisher(LOOPBACK)
    assert publisher.endpoint.startswith("tcp://127.0.0.1:")
    assert not publisher.endpoint.endswith(":0")
    assert other.endpoint != publisher.endpoint
    other.close()


def test_a_taken_port(publisher: Publisher) -> None:
    with pytest.raises(
        BmiError, match=f"cannot publish on {publisher.endpoint}: it is taken .* port 0 picks a free one"
    ):
        Publisher(publisher.endpoint)


def test_a_port_taken_by_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BmiError, match="it is taken by another program"):
            Publisher(endpoint)
    publisher = Publisher(endpoint)
    assert publisher.endpoint == endpoint
    publisher.close()


def test_an_address_of_another_machine() -> None:
    with pytest.raises(
        BmiError, match=r"cannot publish on tcp://192\.0\.2\.1:5555: .* Give the session another endpoint"
    ):
        Publisher("tcp://192.0.2.1:5555")


def test_events_arrive(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint, topics=ALL_TOPICS) as subscriber:
        connect(publisher, subscriber)
        publisher.health({"event": "gap", "bins": 3})
        while not isinstance(message := subscriber.receive(10), Health):
            assert message is not None
        assert message.event == {"event": "gap", "bins": 3}


def test_a_subscriber_outlives_the_worker_behind_a_relay() -> None:
    """What forwards a port takes connections while the worker is down, and ends them."""
    publisher = Publisher(LOOPBACK)
    endpoint, port = publisher.endpoint, int(publisher.endpoint.rpartition(":")[2])
    with Subscriber(endpoint, topics=ALL_TOPICS) as subscriber:
        connect(publisher, subscriber)
        publisher.close()
        with socket.create_server(("127.0.0.1", port)) as relay:
            relay.settimeout(10)
            for _ in range(6):
                relay.accept()[0].close()
                while subscriber.receive(0.02) is not None:
                    pass
        publisher = Publisher(endpoint)
        connect(publisher, subscriber)
    publisher.close()


def test_a_subscriber_may_be_closed_again(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint) as subscriber:
        subscriber.close()


def test_a_subscriber_that_never_reads(publisher: Publisher) -> None:
    """It neither holds the sender up nor fills the memory, and the others receive everything."""
    packer = EstimatePacker((Variant.raw, Variant.low_latency, Variant.high_accuracy), 2)
    size = len(packer.buffer)
    n = 10 * SEND_QUEUE
    asleep: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    asleep.setsockopt(zmq.RCVHWM, 1)
    asleep.setsockopt(zmq.RCVBUF, 4096)
    asleep.setsockopt(zmq.LINGER, 0)
    asleep.subscribe(b"BMID")
    asleep.connect(publisher.endpoint)
    with Subscriber(publisher.endpoint, topics=ALL_TOPICS) as awake:
        connect(publisher, awake)
        # The sleeping one has subscribed too once it holds a message.
        packer.pack(0, 0, 1.0, 1.0, 0, 1, (1.0, 1.0, 1.0))
        deadline = time.monotonic() + 10
        while not asleep.poll(20):
            assert time.monotonic() < deadline
            publisher.send(packer.buffer)
        before = psutil.Process().memory_info().rss
        received = 0
        for sequence in range(1, n + 1):
            packer.pack(sequence, sequence, 1.0, 1.0, 0, 1, (1.0, 1.0, 1.0))
            publisher.send(packer.buffer)
            if sequence % 1000 == 0:
                while received < sequence:
                    message = awake.receive(10)
                    assert message is not None
                    received = message.sequence if isinstance(message, Estimate) else received
        grown = psutil.Process().memory_info().rss - before
        assert awake.lost == 0
    asleep.close()
    # Unbounded, it would have to hold all n messages.
    assert grown < n * size / 2


def connect(publisher: Publisher, subscriber: Subscriber) -> None:
    """Send heartbeats until they arrive."""
    deadline = time.monotonic() + 10
    while subscriber.receive(0.02) is None:
        assert time.monotonic() < deadline
        publisher.send(pack_heartbeat(0.0, 0, 1))
