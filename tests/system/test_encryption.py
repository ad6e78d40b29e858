"""A session that publishes encrypted, with everything around it that listens."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from bmi_decoder.cli import main
from bmi_decoder.client import AccessError
from bmi_decoder.errors import InputError
from bmi_decoder.events import HealthEvent
from bmi_decoder.keys import read_pair
from tests.system.conftest import Control, Rig, StartSession
from tests.system.support import ROOT
from tests.waiting import eventually

DEMO = ROOT / "services" / "demo" / "demo.bmi"


def test_a_session_publishes_to_allowed_keys_and_to_its_own_service(
    control: Control,
    rig: Rig,
    start_session: StartSession,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client, data = control.client, ["--data-dir", str(control.data_dir)]
    assert main(["keys", "generate", "ann", "--out", str(tmp_path)]) == 0
    assert main(["keys", "allow", str(tmp_path / "ann.key"), *data]) == 0
    heard: list[str] = []

    def listen() -> None:
        for event in client.events():
            if isinstance(event, HealthEvent):
                heard.append(event.event)
                return

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    live = start_session(DEMO, key=read_pair(tmp_path / "ann.key_secret"), encryption="curve")
    status = live.status
    assert status.server_key is not None and status.settings.encryption == "curve"
    rig("simulated")
    live.received.until_estimates(50)
    # The control plane's own subscription.
    listening.join(20)
    assert heard == ["connected"]
    # The recorder's.
    client.record_session(live.name)

    def estimates() -> int:
        recorder = client.recorder(live.name)
        assert recorder is not None
        return next((one.samples for one in recorder.streams if one.name == f"{live.name}-estimates"), 0)

    eventually(estimates, lambda n: n > 50)
    client.stop_recording(live.name)
    # Users': with the server's key from its file, and without.
    with pytest.raises(InputError, match="needs two keys"):
        client.subscribe(live.name)
    capsys.readouterr()
    server = str(control.data_dir / "keys" / "server.key")
    watch = ["subscribe", status.endpoint, "--count", "5", "--timeout", "20"]
    assert main([*watch, "--server-key", server, "--key", str(tmp_path / "ann.key_secret")]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 5
    assert main(watch) == 1
    assert "it is encrypted" in capsys.readouterr().err
    assert main(["keys", "revoke", "ann", *data]) == 0
    assert main([*watch, "--server-key", server, "--key", str(tmp_path / "ann.key_secret")]) == 1
    assert "revoked" in capsys.readouterr().err
    read = len(live.received.estimates)
    live.received.until_estimates(read + 50)
    assert live.received.subscriber.lost == 0
    # One that stands is not asked again, unless it is ended.
    capsys.readouterr()
    assert main(["keys", "disconnect", *data]) == 0
    assert live.name in capsys.readouterr().out
    with pytest.raises(AccessError, match="revoked"):
        live.received.until_estimates(sys.maxsize)
    assert live.status.state == "running"
