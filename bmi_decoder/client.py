"""For users' own programs: subscribe to a live decode, and drive the control plane.

Examples
--------
Receive estimates from a running session::

    from bmi_decoder.client import ControlClient, Subscriber

    with ControlClient("http://127.0.0.1:8000") as control:
        endpoint = control.start_session("m1").endpoint
    with Subscriber(endpoint) as subscriber:
        for message in subscriber:
            print(message.t_valid, message.variant("low_latency"))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from bmi_decoder import wire
from bmi_decoder.control_connection import ControlConnection, ControlError
from bmi_decoder.event_stream import follow
from bmi_decoder.events import AnyEvent
from bmi_decoder.jobs import JobInfo, RecordingDetail, RecordingInfo
from bmi_decoder.keys import KeyPair
from bmi_decoder.recorder_models import RecordedFile, RecorderStatus
from bmi_decoder.rest_models import DecoderDetail, DecoderInfo, RevisionInfo, SessionStatus, StreamInfo
from bmi_decoder.subscriber import ALL_TOPICS, AccessError, Subscriber

__all__ = ["ALL_TOPICS", "AccessError", "ControlClient", "ControlError", "Subscriber"]

_START_TIMEOUT_S = 30.0
_STOP_RECORDING_TIMEOUT_S = 300.0
_SWAP_TIMEOUT_S = 1800.0
"""The widest filter on the widest bins warms up for minutes; the server gives up where nothing moves."""

_READ_TIMEOUT_S = 600.0
"""A recording is read once before it is accepted."""


class ControlClient(ControlConnection):
    """The control plane's REST interface.

    Parameters
    ----------
    url : str
        Where ``bmi-decoder serve`` listens, for example ``http://127.0.0.1:8000``.
    token : str, optional
        The server's ``BMI_TOKEN``, if it demands one.
    timeout_s : float
        Longest wait for an answer.

    Examples
    --------
    ::

        with ControlClient("http://127.0.0.1:8000") as control:
            decoder = control.upload_decoder("lstm.bmi")
            control.create_session("m1", stream="M1", decoder=decoder.id)
            print(control.start_session("m1").endpoint)
    """

    def __init__(self, url: str, token: str | None = None, timeout_s: float = _START_TIMEOUT_S) -> None:
        super().__init__(url, token, timeout_s)

    def healthy(self) -> bool:
        """Whether the control plane answers."""
        try:
            self._request("GET", "/healthz")
        except ControlError:
            return False
        return True

    def ready(self) -> bool:
        """Whether every session that should run is running and has fresh data."""
        try:
            self._request("GET", "/readyz")
        except ControlError as error:
            if error.status == 503:
                return False
            raise
        return True

    def streams(self, wait_s: float = 1.0) -> list[StreamInfo]:
        """The LSL streams that show themselves within `wait_s` seconds."""
        answer = self._request("GET", "/v1/streams", params={"wait_s": wait_s})
        return TypeAdapter(list[StreamInfo]).validate_json(answer.content)

    def upload_decoder(self, path: str | Path) -> DecoderInfo:
        """Upload a bundle; the same file again gives the same decoder."""
        path = Path(path)
        with path.open("rb") as file:
            answer = self._request("POST", "/v1/decoders", files={"file": (path.name, file)})
        return DecoderInfo.model_validate_json(answer.content)

    def decoders(self) -> list[DecoderInfo]:
        """All stored decoders."""
        return self._list("/v1/decoders", DecoderInfo)

    def decoder(self, decoder_id: str) -> DecoderDetail:
        """One decoder with its metrics, filters and manifest."""
        return DecoderDetail.model_validate_json(self._request("GET", _decoder(decoder_id)).content)

    def download_decoder(self, decoder_id: str, path: str | Path) -> None:
        """Write a decoder's bundle to `path`."""
        Path(path).write_bytes(self._request("GET", _decoder(decoder_id) + "/file").content)

    def delete_decoder(self, decoder_id: str) -> None:
        """Delete a decoder that no session uses."""
        self._request("DELETE", _decoder(decoder_id))

    def upload_recording(self, path: str | Path) -> RecordingInfo:
        """Upload a recording of any known format; the same file again gives the same recording."""
        path = Path(path)
        with path.open("rb") as file:
            answer = self._request("POST", "/v1/recordings", files={"file": (path.name, file)}, timeout=_READ_TIMEOUT_S)
        return RecordingInfo.model_validate_json(answer.content)

    def recordings(self) -> list[RecordingInfo]:
        """All stored recordings."""
        return self._list("/v1/recordings", RecordingInfo)

    def recording(self, recording_id: str) -> RecordingDetail:
        """One recording with what is in it."""
        return RecordingDetail.model_validate_json(self._request("GET", _recording(recording_id)).content)

    def download_recording(self, recording_id: str, path: str | Path) -> None:
        """Write a recording's file to `path`."""
        with Path(path).open("wb") as file, self._http.stream("GET", _recording(recording_id) + "/file") as answer:
            if answer.is_error:
                answer.read()
                raise self._refusal(answer, "GET", _recording(recording_id) + "/file")
            for piece in answer.iter_bytes():
                file.write(piece)

    def delete_recording(self, recording_id: str) -> None:
        """Delete a recording that no job needs."""
        self._request("DELETE", _recording(recording_id))

    def train(self, recording: str, decoder: str, **settings: Any) -> JobInfo:
        """Ask for a decoder to be trained; gives the job at once, and its result names the decoder when it is done.

        Parameters
        ----------
        recording : str
            Id of a stored recording.
        decoder : str
            Which decoder, ``"lstm"`` for example.
        **settings
            Further fields of `bmi_decoder.jobs.TrainRequest`.
        """
        body = {"kind": "train", "recording": recording, "decoder": decoder, **settings}
        return JobInfo.model_validate_json(self._request("POST", "/v1/jobs", json=body).content)

    def calibrate(
        self, neural: str | dict[str, Any], kinematics: str | dict[str, Any], decoder: str, **settings: Any
    ) -> JobInfo:
        """Ask for a decoder to be trained on what two live streams bring from now on; gives the job at once.

        Parameters
        ----------
        neural, kinematics : str or dict
            Names of the LSL streams, or the fields of `bmi_decoder.jobs.NeuralStream` and `KinematicsStream`.
        decoder : str
            Which decoder, ``"snn_streaming"`` for example.
        **settings
            Further fields of `bmi_decoder.jobs.CalibrateRequest`, ``seconds`` and ``session`` for example.

        Raises
        ------
        ControlError
            Status 422 if a stream is not there, or cannot be used.
        """
        streams = {"neural": neural, "kinematics": kinematics}
        named = {field: {"name": given} if isinstance(given, str) else given for field, given in streams.items()}
        body = {"kind": "calibrate", **named, "decoder": decoder, **settings}
        return JobInfo.model_validate_json(self._request("POST", "/v1/jobs", json=body).content)

    def export_recording(self, recording: str, **about: Any) -> JobInfo:
        """Ask for a recorded session as NWB; gives the job at once, and the result names the new recording when done.

        Parameters
        ----------
        recording : str
            Id of a stored recording of a session.
        **about
            Further fields of `bmi_decoder.jobs.ExportRequest`, ``species`` and ``age`` for example.
        """
        body = {"kind": "export", "recording": recording, **about}
        return JobInfo.model_validate_json(self._request("POST", "/v1/jobs", json=body).content)

    def jobs(self) -> list[JobInfo]:
        """All jobs, newest first."""
        return self._list("/v1/jobs", JobInfo)

    def job(self, job_id: str) -> JobInfo:
        """One job."""
        return JobInfo.model_validate_json(self._request("GET", _job(job_id)).content)

    def cancel_job(self, job_id: str) -> JobInfo:
        """Cancel a job, and wait until nothing is left of it."""
        return JobInfo.model_validate_json(self._request("POST", _job(job_id) + "/cancel").content)

    def deploy_job(self, job_id: str, session: str | None = None, if_match: str | None = None) -> SessionStatus:
        """Give a job's decoder to a session, by hot swap if it runs.

        Parameters
        ----------
        job_id : str
        session : str, optional
            None is the session that the job was asked for.
        if_match : str, optional
            As for `change_session`.
        """
        body, headers = {"session": session}, _condition(if_match)
        return self._session("POST", _job(job_id) + "/deploy", json=body, headers=headers, timeout=_SWAP_TIMEOUT_S)

    def discard_job(self, job_id: str) -> JobInfo:
        """Remove what a job that is done has made: its decoder, and what it has collected or exported."""
        return JobInfo.model_validate_json(self._request("POST", _job(job_id) + "/discard").content)

    def create_session(self, name: str, stream: str | dict[str, Any], decoder: str, **settings: Any) -> SessionStatus:
        """Create a session; it does not run until it is started.

        Parameters
        ----------
        name : str
            Its name.
        stream : str or dict
            Name of the LSL stream, or the fields of `bmi_decoder.config.StreamSettings`.
        decoder : str
            Id of a stored decoder.
        **settings
            Further fields of `bmi_decoder.config.SessionSettings`.
        """
        wanted = {"name": stream} if isinstance(stream, str) else stream
        body = {"name": name, "stream": wanted, "decoder": decoder, **settings}
        return self._session("POST", "/v1/sessions", json=body)

    def sessions(self) -> list[SessionStatus]:
        """All sessions."""
        return TypeAdapter(list[SessionStatus]).validate_json(self._request("GET", "/v1/sessions").content)

    def session(self, name: str) -> SessionStatus:
        """One session."""
        return self._session("GET", _path(name))

    def start_session(self, name: str) -> SessionStatus:
        """Start a session and wait until its worker is up; one that runs already goes on undisturbed."""
        return self._session("POST", _path(name) + "/start")

    def stop_session(self, name: str) -> SessionStatus:
        """Stop a session."""
        return self._session("POST", _path(name) + "/stop")

    def change_session(self, name: str, if_match: str | None = None, **settings: Any) -> SessionStatus:
        """Change settings of a session: fields of `SessionChange`.

        While the session runs, its decoder, output filters and masked channels are swapped; this returns when the
        worker has switched between two bins, which takes the warm-up of the longest filter and at least a second.

        Parameters
        ----------
        name : str
        if_match : str, optional
            The `etag` of the status that the change is based on. If somebody else has changed the session since,
            nothing is changed, and the error has status 412.
        **settings

        Raises
        ------
        ControlError
            Status 409, 422, 503 or 504 if the session goes on as it was, saying why.
        """
        return self._session("PATCH", _path(name), json=settings, headers=_condition(if_match), timeout=_SWAP_TIMEOUT_S)

    def roll_back_session(self, name: str, if_match: str | None = None) -> SessionStatus:
        """Return to the revision before the one that a session has, running or not; `if_match` as for a change."""
        return self._session("POST", _path(name) + "/rollback", headers=_condition(if_match), timeout=_SWAP_TIMEOUT_S)

    def revisions(self, name: str) -> list[RevisionInfo]:
        """What a session has decoded with, oldest first."""
        return self._list(_path(name) + "/revisions", RevisionInfo)

    def delete_session(self, name: str, if_match: str | None = None) -> None:
        """Delete a session that does not run, and its files; `if_match` as for a change."""
        self._request("DELETE", _path(name), headers=_condition(if_match))

    def subscribe(
        self,
        name: str,
        topics: Sequence[bytes | str] = (wire.ESTIMATE,),
        latest_only: bool = False,
        key: str | Path | KeyPair | None = None,
    ) -> Subscriber:
        """Receive what a session publishes that runs.

        Parameters
        ----------
        name : str
        topics, latest_only
            As for `Subscriber`.
        key : str or Path or KeyPair, optional
            Our own key, for a session that publishes encrypted.
        """
        status = self.session(name)
        own = key if status.server_key else None
        return Subscriber(status.endpoint, topics, latest_only, status.server_key, own)

    def events(self, session: str | None = None, last_id: str | None = None) -> Iterator[AnyEvent]:
        """What happens from now on, for ever: states of sessions, health events, swaps, jobs.

        Connects again by itself when the connection is lost, or the control plane is started anew; a `GapEvent` says
        where events are missing.

        Parameters
        ----------
        session : str, optional
            Leave out the events of other sessions.
        last_id : str, optional
            Begin behind the event of this id.

        Raises
        ------
        ControlError
            If the control plane cannot be reached at first, or refuses.
        """
        try:
            yield from follow(self._http, session, last_id)
        except httpx.HTTPStatusError as error:
            raise self._refusal(error.response, "GET", "/v1/events") from None
        except httpx.TransportError as error:
            raise self._no_answer(error) from None

    def record_session(self, name: str, **how: Any) -> RecorderStatus:
        """Record a session; the fields of `RecordingStart` say how, `kinematics` for example."""
        answer = self._request("POST", _path(name) + "/recordings", json=how, timeout=_START_TIMEOUT_S)
        return RecorderStatus.model_validate_json(answer.content)

    def recorder(self, name: str) -> RecorderStatus | None:
        """How the recording of a session fares; None while there is none."""
        answer = self._request("GET", _path(name) + "/recordings")
        return TypeAdapter(RecorderStatus | None).validate_json(answer.content)

    def disarm_recorder(self, name: str) -> None:
        """End the recorder of a session that is armed, and forget what it holds."""
        self._request("POST", _path(name) + "/recordings/disarm", timeout=_STOP_RECORDING_TIMEOUT_S)

    def stop_recording(self, name: str) -> RecordedFile:
        """End the recording of a session; its file is then among the stored recordings."""
        answer = self._request("POST", _path(name) + "/recordings/stop", timeout=_STOP_RECORDING_TIMEOUT_S)
        return RecordedFile.model_validate_json(answer.content)

    def _session(self, method: str, path: str, **content: Any) -> SessionStatus:
        return SessionStatus.model_validate_json(self._request(method, path, **content).content)


def _condition(if_match: str | None) -> dict[str, str]:
    return {} if if_match is None else {"If-Match": if_match}


def _decoder(decoder_id: str) -> str:
    return f"/v1/decoders/{quote(decoder_id, safe='')}"


def _recording(recording_id: str) -> str:
    return f"/v1/recordings/{quote(recording_id, safe='')}"


def _job(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _path(name: str) -> str:
    return f"/v1/sessions/{quote(name, safe='')}"
