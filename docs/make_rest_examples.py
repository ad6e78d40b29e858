"""Records the examples of the REST documentation anew: ``python docs/make_rest_examples.py``.

Every operation of a running control plane is used once, on a simulated rig of four channels; requests and answers go to
``services/control/examples.json``, from which ``/openapi.json`` shows them. Takes two minutes and needs the training
extra.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.fuzz_rest import serving
from bmi_decoder.cli import main as command
from services.ingest.lsl import configure_lsl
from services.processes import running

EXAMPLES = Path(__file__).parents[1] / "services" / "control" / "examples.json"
_STREAM = "M1"
_LINES = 14
_DEADLINE_S = 120.0


class Recorder:
    """Sends requests, and keeps them with their answers by the id of their operation.

    Parameters
    ----------
    http : httpx.Client
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self.operations: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {"name": "m1", "session": "m1", "wait_s": 1.0, "limit": 1}

    def send(self, operation: str, method: str, path: str, **content: Any) -> httpx.Response:
        """One request, which must succeed."""
        answer = self._http.request(method, path, **content)
        answer.raise_for_status()
        kept: dict[str, Any] = {}
        if "json" in content:
            kept["request"] = content["json"]
        elif "files" in content:
            kept["request"] = {"file": content["files"]["file"][0]}
        if answer.content and answer.headers.get("content-type", "").startswith("application/json"):
            kept["response"] = answer.json()
        self.operations[operation] = kept
        return answer

    def until(self, path: str, condition: Callable[[Any], bool]) -> None:
        """Wait until a resource is as wanted."""
        deadline = time.monotonic() + _DEADLINE_S
        while not condition(found := self._http.get(path).json()):
            if time.monotonic() > deadline:
                raise SystemExit(f"{path} stays {found}")
            time.sleep(0.2)


def record(http: httpx.Client, folder: Path) -> dict[str, Any]:
    """Use every operation once."""
    recorder = Recorder(http)
    send, until = recorder.send, recorder.until
    send("healthz", "GET", "/healthz")
    send("list_streams", "GET", "/v1/streams", params={"wait_s": 1.0})

    bundle, recording = folder / "kalman.bmi", folder / "session-1.npz"
    decoder = send("upload_decoder", "POST", "/v1/decoders", files={"file": (bundle.name, bundle.read_bytes())}).json()[
        "id"
    ]
    send("list_decoders", "GET", "/v1/decoders")
    send("get_decoder", "GET", f"/v1/decoders/{decoder}")
    stored = send(
        "upload_recording", "POST", "/v1/recordings", files={"file": (recording.name, recording.read_bytes())}
    ).json()["id"]
    send("list_recordings", "GET", "/v1/recordings")
    send("get_recording", "GET", f"/v1/recordings/{stored}")

    created = send(
        "create_session", "POST", "/v1/sessions", json={"name": "m1", "stream": {"name": _STREAM}, "decoder": decoder}
    )
    session = "/v1/sessions/m1"
    send("start_session", "POST", f"{session}/start")
    until(session, lambda status: status["state"] == "running" and status["bins_decoded"] > 500)
    send("get_session", "GET", session)
    send("list_sessions", "GET", "/v1/sessions")
    send("readyz", "GET", "/readyz")
    shown = send("metrics", "GET", "/metrics").text.splitlines()[:_LINES]
    recorder.operations["metrics"]["response"] = "\n".join(shown) + "\n"
    send(
        "change_session",
        "PATCH",
        session,
        json={"output_filters": {"low_latency": {"cutoff_hz": 6}}, "masked_channels": [2]},
    )
    send("rollback_session", "POST", f"{session}/rollback")
    send("list_revisions", "GET", f"{session}/revisions")
    cursor = http.get(f"{session}/revisions", params={"limit": 1}).links["next"]["url"].rpartition("cursor=")[2]

    http.post(f"{session}/recordings", json={"armed": True}).raise_for_status()
    send("disarm_recorder", "POST", f"{session}/recordings/disarm")
    send("record_session", "POST", f"{session}/recordings", json={"participant": "01", "task": "reach"})
    until(f"{session}/recordings", lambda status: status["elapsed_s"] > 2)
    send("look_at_recorder", "GET", f"{session}/recordings")
    send("stop_recording", "POST", f"{session}/recordings/stop")

    wanted = {"kind": "train", "recording": stored, "decoder": "kalman", "session": "m1"}
    jobs = [send("create_job", "POST", "/v1/jobs", json=wanted).json()["id"] for _ in range(2)]
    send("cancel_job", "POST", f"/v1/jobs/{jobs[1]}/cancel")
    until(f"/v1/jobs/{jobs[0]}", lambda job: job["state"] == "done")
    send("get_job", "GET", f"/v1/jobs/{jobs[0]}")
    send("list_jobs", "GET", "/v1/jobs")
    send("deploy_job", "POST", f"/v1/jobs/{jobs[0]}/deploy", json={"session": "m1"})
    other = http.post("/v1/jobs", json=wanted | {"decoder": "wiener"}).raise_for_status().json()["id"]
    until(f"/v1/jobs/{other}", lambda job: job["state"] == "done")
    send("discard_job", "POST", f"/v1/jobs/{other}/discard")
    with http.stream("GET", "/v1/events", params={"session": "m1"}) as answer:
        http.patch(session, json={"output_filters": {}}).raise_for_status()
        lines = []
        for line in answer.iter_lines():
            lines.append(line)
            if lines.count("") == 3:
                break
    recorder.operations["follow_events"] = {"response": "\n".join(lines) + "\n"}
    send("stop_session", "POST", f"{session}/stop")
    last = next(line.removeprefix("id: ") for line in lines if line.startswith("id: "))
    recorder.parameters |= {
        "decoder_id": decoder,
        "recording_id": stored,
        "job_id": jobs[0],
        "cursor": cursor,
        "if-match": created.headers["etag"],
        "last-event-id": last,
    }
    return {"parameters": recorder.parameters, "operations": recorder.operations}


def main() -> None:
    """Serve, use, write."""
    configure_lsl("loopback")
    with tempfile.TemporaryDirectory(prefix="bmi-examples-") as name:
        folder = Path(name)
        recording, bundle = str(folder / "session-1.npz"), str(folder / "kalman.bmi")
        assert command(["simulate", recording, "--seconds", "60", "--channels", "4", "--bin-ms", "4"]) == 0
        assert command(["train", recording, "--decoder", "kalman", "--out", bundle]) == 0
        rig = ["-m", "bmi_decoder.cli", "rig", recording, "--stream", _STREAM, "--loop"]
        with serving(folder) as url, running("rig", rig, folder), httpx.Client(base_url=url, timeout=120) as http:
            found = record(http, folder)
    EXAMPLES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
