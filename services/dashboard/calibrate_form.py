"""What a decoder shall be trained on, which one, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nicegui import ui

from services.control.jobs.training_stage import trainable_decoders
from services.dashboard.overview import Snapshot
from services.dashboard.rest import RefusedError, Rest
from services.dashboard.site import button, section, show_refusal
from services.dashboard.sources import KINEMATICS
from services.dashboard.streams import WatchedStream
from services.dashboard.words import recording_words

_LIVE, _RECORDED = "live", "recorded"
_NO_SESSION = ""
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
        with section("Data", "what to train on", "form"):
            self._source = ui.radio(
                {_LIVE: "Two live streams", _RECORDED: "A recording"},
                value=_RECORDED if wanted.recording else _LIVE,
                on_change=self._show_source,
            ).props('inline aria-label="Train on"')
            with ui.element("div").classes("fields") as self._live:
                self._neural = _select("Neural stream", on_change=self._neural_chosen)
                self._kinematics = _select("Kinematics stream")
                self._seconds = ui.number("Seconds to collect", value=60, min=1, max=7200, format="%g")
                self._seconds.props("dense outlined")
            with ui.element("div").classes("fields") as self._recorded:
                self._recording = _select("Recording", on_change=self._show_source)
                self._reading = {name: ui.input(label).props("dense outlined") for name, label in _READING.items()}
            self._about = ui.label().classes("quiet").props('role="status"')
        with (
            section("Decoder", "what to train, and what to hold it against", "form"),
            ui.element("div").classes("fields"),
        ):
            names = trainable_decoders()
            usual = _USUAL_DECODER if _USUAL_DECODER in names else next(iter(names), None)
            self._decoder = _select("Decoder", {name: name for name in names}, usual)
            self._preset = _select("Preset", _PRESETS, "best")
            self._filter = _select("Filter on every channel", _FILTERS, "")
            self._session = _select("Compare with, and deploy to", {_NO_SESSION: "no session"}, _NO_SESSION)
        with ui.element("div").classes("pair send"):
            self._go = button("Collect and train", self._ask, primary=True)
            self._busy = ui.label().classes("quiet").props('role="status"')
        self._show_source()

    def update(self, now: Snapshot) -> None:
        """Offer what there is now."""
        self._now = now
        present = [w for w in now.streams if w.gone_at is None and w.stream.rate_hz > 0]
        neural = {w.info.uid(): _stream_words(w) for w in present if not _is_movement(w)}
        movement = {w.info.uid(): _stream_words(w) for w in present if _is_movement(w)}
        _offer(self._neural, neural, self._uid(self._wanted_stream(), neural))
        _offer(self._kinematics, movement, self._movement_of(self._neural.value, movement))
        recordings = {row.id: recording_words(row) for row in now.recordings}
        _offer(self._recording, recordings, self._wanted.recording)
        sessions = {_NO_SESSION: "no session"} | {s.name: f"session {s.name} ({s.state})" for s in now.sessions}
        fresh = list(sessions) != list(self._session.options) and not self._session.value
        _offer(self._session, sessions, _NO_SESSION)
        if fresh and self._wanted.session in sessions:
            self._session.set_value(self._wanted.session)
        elif fresh:
            self._neural_chosen()
        self._show_source()

    def _wanted_stream(self) -> str:
        sessions = {status.name: status.settings.stream.name for status in self._now.sessions}
        return self._wanted.neural or sessions.get(self._wanted.session, "")

    def _uid(self, name: str, offered: dict[str, str]) -> str | None:
        for watched in self._now.streams:
            if watched.stream.name == name and watched.info.uid() in offered:
                return watched.info.uid()
        return next(iter(offered)) if len(offered) == 1 and not name else None

    def _movement_of(self, neural: str | None, offered: dict[str, str]) -> str | None:
        watched = self._watched(neural)
        named = None if watched is None else self._uid(f"{watched.stream.name}-{KINEMATICS}", offered)
        return named or self._uid("", offered)

    def _watched(self, uid: str | None) -> WatchedStream | None:
        return next((watched for watched in self._now.streams if watched.info.uid() == uid), None)

    def _neural_chosen(self) -> None:
        """The movement and the session that belong to a stream."""
        watched = self._watched(self._neural.value)
        if watched is None:
            return
        movement = self._movement_of(self._neural.value, dict(self._kinematics.options))
        if movement is not None:
            self._kinematics.set_value(movement)
        decoding = [s.name for s in self._now.sessions if s.settings.stream.name == watched.stream.name]
        if not self._wanted.session:
            self._session.set_value(decoding[0] if len(decoding) == 1 else _NO_SESSION)

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
        choices = {
            "decoder": self._decoder.value,
            "preset": self._preset.value,
            "input_filter": {"variant": self._filter.value} if self._filter.value else None,
            "session": self._session.value or None,
        }
        if self._source.value == _RECORDED:
            reading = {name: field.value for name, field in self._reading.items() if field.visible and field.value}
            return choices | {"kind": "train", "recording": self._recording.value or "", "reading": reading}
        streams = {}
        for name, field in (("neural", self._neural), ("kinematics", self._kinematics)):
            watched = self._watched(field.value)
            if watched is None:
                raise RefusedError(f"choose a {name} stream")
            stream = watched.stream
            streams[name] = {"name": stream.name, "type": stream.type, "source_id": stream.source_id or None}
        return choices | {"kind": "calibrate", "seconds": self._seconds.value, **streams}


def _select(
    label: str, options: dict[str, str] | None = None, value: str | None = None, on_change: Any = None
) -> ui.select:
    made = ui.select(options or {}, label=label, value=value, on_change=on_change)
    return made.props("dense outlined options-dense")


def _offer(field: ui.select, options: dict[str, str], usual: str | None) -> None:
    """Offer these; what is chosen stays as long as it is there."""
    if options != field.options:
        field.set_options(options, value=field.value if field.value in options else None)
    if field.value is None and usual in options:
        field.set_value(usual)


def _is_movement(watched: WatchedStream) -> bool:
    return watched.stream.type.lower() == KINEMATICS


def _stream_words(watched: WatchedStream) -> str:
    stream = watched.stream
    return f"{stream.name} · {stream.n_channels} channels · {stream.rate_hz:g} Hz"
