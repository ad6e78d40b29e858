"""``bmi-decoder subscribe`` against a publisher in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from bmi_decoder.cli import main
from bmi_decoder.wire import EstimatePacker, Flag, Variant, pack_health, pack_heartbeat


def frames() -> Iterator[bytes]:
    packer = EstimatePacker((Variant.raw, Variant.high_accuracy), 2)
    packer.outputs[:] = [[0.5, -1.5], [2.0, 3.0]]
    for sequence in range(1 << 30):
        yield pack_heartbeat(1.0, sequence, 1)
        yield pack_health({"event": "gap", "bins": 2})
        yield bytes(packer.pack(sequence, sequence, 10.0, 10.5, Flag.HELD, 1, [10.0, 9.936]))


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Publishes until the test is over, slowly enough for any reader."""
    stop = threading.Event()
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")

    def publish() -> None:
        for frame in frames():
            if stop.wait(0.002):
                return
            socket.send(frame)

    thread = threading.Thread(target=publish)
    thread.start()
    yield f"tcp://127.0.0.1:{port}"
    stop.set()
    thread.join()
    socket.close(linger=0)
    context.term()


def test_estimates_and_health_as_json_lines(endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["subscribe", endpoint, "--count", "4", "--json", str(tmp_path / "s.json")]) == 0
    messages = [json.loads(line) for line in (tmp_path / "s.json").read_text().splitlines()]
    estimates = [message for message in messages if "sequence" in message]
    assert len(estimates) == 4
    assert [message["sequence"] - estimates[0]["sequence"] for message in estimates] == [0, 1, 2, 3]
    for message in estimates:
        assert message["raw"] == {"t_valid": 10.0, "outputs": [0.5, -1.5]}
        assert message["high_accuracy"] == {"t_valid": 9.936, "outputs": [2.0, 3.0]}
        assert (message["t_source"], message["t_publish"], message["flags"], message["revision"]) == (10.0, 10.5, 2, 1)
    assert {"event": "gap", "bins": 2} in messages
    assert not any("heartbeat" in message for message in messages)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("topic", "key"), [("BMID", "sequence"), ("BMIH", "event"), ("BMIB", "heartbeat")])
def test_topics(topic: str, key: str, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["subscribe", endpoint, "--topic", topic, "--count", "3", "--json", "-"]) == 0
    messages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(messages) >= 2
    assert all(key in message for message in messages)


def test_lines_for_people(endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["subscribe", endpoint, "--topic", "BMID", "--count", "1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[1:] == ["raw", "+0.5000", "-1.5000", "high_accuracy", "+2.0000", "+3.0000", "flags", "2"]
