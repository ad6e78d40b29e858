"""What a decoder shall be trained on, which one, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from services.control.jobs.training_stage import trainable_decoders
from services.dashboard.choice import Choice
from services.dashboard.overview import Snapshot
from services.dashboard.rest import RefusedError, Rest
from services.dashboard.site import button, section, show_refusal
from services.dashboard.sources import KINEMATICS
from services.dashboard.streams import WatchedStream
from services.dashboard.words import recording_words
from services.ingest.lsl import VisibleStream

_LIVE, _RECORDED = "live", "recorded"
_NO_SESSION = ""
_NONE = {_NO_SESSION: "no session"}
_USUAL_DECODER = "snn_streaming"
_FILTERS = {"": "none", "low_latency": "low latency", "high_accuracy": "high accuracy"}
_PRESETS = {"best": "best", "paper": "paper: as it was published"}
_READING = {"neural": "Neural stream", "kinematics": "Kinematics stream", "series": "Behavioural series"}


@dataclass(frozen=True)
class Wanted:
    """What the link to the page has chosen already; empty is nothing."""

    neural: str = ""
    session: str = ""
    recording: str = ""


class CalibrateForm:
    """The form.

    Parameters
    ----------
    rest : Rest
    wanted : Wanted
    """

    def __init__(self, rest: Rest, wanted: Wanted) -> None:
        self._rest, self._wanted = rest, wanted
        self._now = Snapshot()
        self._present: dict[str, WatchedStream] = {}
        with section("Data", "what to train on", "form"):
            self._source = ui.radio(
                {_LIVE: "Two live streams", _RECORDED: "A recording"},
                value=_RECORDED if wanted.recording else _LIVE,
                on_change=self._show_source,
            ).props('inline aria-label="Train on"')
            with ui.element("div").classes("fields") as self._live:
                self._neural = Choice("Neural stream", on_change=self._neural_chosen)
                self._kinematics = Choice("Kinematics stream")
                self._seconds = ui.number("Seconds to collect", value=60, min=1, max=7200, format="%g")
                self._seconds.props("dense outlined")
            with ui.element("div").classes("fields") as self._recorded:
                self._recording = Choice("Recording", chosen=wanted.recording or None, on_change=self._show_source)
                self._reading = {name: ui.input(label).props("dense outlined") for name, label in _READING.items()}
            self._about = ui.label().classes("quiet").props('role="status"')
        with (
            section("Decoder", "what to train, and what to hold it against", "form"),
            ui.element("div").classes("fields"),
        ):
            names = trainable_decoders()
            usual = _USUAL_DECODER if _USUAL_DECODER in names else next(iter(names), None)
            self._decoder = Choice("Decoder", {name: name for name in names}, usual)
            self._preset = Choice("Preset", _PRESETS, "best")
            self._filter = Choice("Filter on every channel", _FILTERS, "")
            self._session = Choice("Compare with, and deploy to", _NONE, wanted.session or _NO_SESSION)
        with ui.element("div").classes("pair send"):
            self._go = button("Collect and train", self._ask, primary=True)
            self._busy = ui.label().classes("quiet").props('role="status"')
        self._show_source()

    def update(self, now: Snapshot) -> None:
        """Offer what there is now."""
        self._now = now
        self._present = {_key(w.stream): w for w in now.streams if w.gone_at is None and w.stream.rate_hz > 0}
        neural = {key: _stream_words(w) for key, w in self._present.items() if not _is_movement(w)}
        movement = {key: _stream_words(w) for key, w in self._present.items() if _is_movement(w)}
        sessions = {s.name: f"session {s.name} ({s.state})" for s in now.sessions}
        self._session.offer(_NONE | sessions)
        self._kinematics.offer(movement, self._of_name("", movement))
        self._neural.offer(neural, self._of_name(self._wanted_stream(), neural))
        self._recording.offer({row.id: recording_words(row) for row in now.recordings})
        self._follow_stream()
        self._show_source()

    def _wanted_stream(self) -> str:
        sessions = {status.name: status.settings.stream.name for status in self._now.sessions}
        return self._wanted.neural or sessions.get(self._wanted.session, "")

    def _of_name(self, name: str, offered: Iterable[str]) -> str | None:
        """The one stream of a name, or of any name where none is asked for; None if there are several."""
        found = [key for key in offered if not name or self._present[key].stream.name == name]
        return found[0] if len(found) == 1 else None

    def _neural_chosen(self) -> None:
        """Another stream has another session."""
        if self._neural.value is not None and self._session_follows():
            self._session.set_value(_NO_SESSION)
        self._follow_stream()

    def _follow_stream(self) -> None:
        """Choose the movement and the session that belong to the stream, where the user has not."""
        watched = self._present.get(self._neural.value or "")
        if watched is None:
            return
        name = watched.stream.name
        movement = self._of_name(f"{name}-{KINEMATICS}", self._present.keys() & set(self._kinematics.options))
        if movement is not None and not self._kinematics.by_user:
            self._kinematics.set_value(movement)
        decoding = [s.name for s in self._now.sessions if s.settings.stream.name == name]
        if self._session_follows() and self._session.value == _NO_SESSION and len(decoding) == 1:
            self._session.set_value(decoding[0])

    def _session_follows(self) -> bool:
        """A recording has no stream that a session could be decoding."""
        return self._source.value == _LIVE and not (self._session.by_user or self._wanted.session)

    def _show_source(self) -> None:
        live = self._source.value == _LIVE
        self._live.set_visibility(live)
        self._recorded.set_visibility(not live)
        chosen = next((row for row in self._now.recordings if row.id == self._recording.value), None)
        problem = "" if chosen is None else str(chosen.inspection["problem"] or "")
        for field in self._reading.values():
            field.set_visibility(bool(problem))
        self._go.set_text("Collect and train" if live else "Train")
        about = "" if live else problem
        if live and not self._kinematics.options:
            about = "No stream of type kinematics is visible. Have the rig push the movement, or take a recording."
        if live and not self._neural.options:
            about = (
                "No neural stream is visible. Start the rig, in the same network and with the same LSL configuration."
            )
        if not live and not self._recording.options:
            about = "No recording is stored. Record a session, or upload a recording on the overview."
        if self._about.text != about:
            self._about.set_text(about)

    async def _ask(self) -> None:
        self._go.disable()
        self._busy.set_text("looking at the streams ..." if self._source.value == _LIVE else "")
        try:
            job = await self._rest.post("/v1/jobs", self._request())
        except RefusedError as error:
            show_refusal(error)
            return
        finally:
            self._busy.set_text("")
            self._go.enable()
        ui.navigate.to(f"/jobs/{job['id']}")

    def _request(self) -> dict[str, Any]:
        """Raises RefusedError where something that was chosen is gone."""
        choices = {
            "decoder": self._decoder.value,
            "preset": self._preset.value,
            "input_filter": {"variant": self._filter.value} if self._filter.value else None,
            "session": self._session.required() or None,
        }
        if self._source.value == _RECORDED:
            reading = {name: field.value for name, field in self._reading.items() if field.visible and field.value}
            return choices | {"kind": "train", "recording": self._recording.required(), "reading": reading}
        streams = {}
        for name, field in (("neural", self._neural), ("kinematics", self._kinematics)):
            stream = self._present[field.required()].stream
            streams[name] = {"name": stream.name, "type": stream.type, "source_id": stream.source_id or None}
        return choices | {"kind": "calibrate", "seconds": self._seconds.value, **streams}


def _key(stream: VisibleStream) -> str:
    """What a job asks for a stream by; the same again after the rig has been started anew."""
    return "\n".join((stream.name, stream.type, stream.source_id))


def _is_movement(watched: WatchedStream) -> bool:
    return watched.stream.type.lower() == KINEMATICS


def _stream_words(watched: WatchedStream) -> str:
    stream = watched.stream
    return f"{stream.name} · {stream.n_channels} channels · {stream.rate_hz:g} Hz"
