"""Streams: what is visible, how it fares, and one click to decode it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from nicegui import ui

from bmi_decoder.rest_models import SessionStatus
from services.dashboard import PATH
from services.dashboard.choice import Choice
from services.dashboard.fit import Fit, fits
from services.dashboard.one_click import decode_stream
from services.dashboard.overview import Snapshot
from services.dashboard.rest import RefusedError, Rest
from services.dashboard.rows import Cell, KeyedTable, StateCell
from services.dashboard.site import button, link, show_refusal
from services.dashboard.sources import KINEMATICS
from services.dashboard.streams import WatchedStream
from services.dashboard.words import clock, duration

_FRESH_S = 2.0


@dataclass(frozen=True)
class StreamItem:
    """A stream, the session that decodes it, and the decoders against it."""

    watched: WatchedStream
    session: SessionStatus | None
    fits: list[Fit]


class StreamsTable:
    """The table of streams.

    Parameters
    ----------
    rest : Rest
    """

    def __init__(self, rest: Rest) -> None:
        self._table: KeyedTable[StreamItem] = KeyedTable(
            "LSL streams",
            ("Stream", "#Channels", "#Rate", "Source", "Since", "Health", "Decode"),
            "No LSL stream is visible. Start the rig, in the same network and with the same LSL configuration.",
            lambda item: item.watched.info.uid(),
            lambda item: _StreamRow(rest, item.watched.stream.name),
        )

    def update(self, now: Snapshot) -> None:
        """Show a snapshot."""
        self._table.update(
            [StreamItem(watched, _session_of(watched, now.sessions), _fits(watched, now)) for watched in now.streams]
        )


class _StreamRow:
    def __init__(self, rest: Rest, name: str) -> None:
        self._rest = rest
        self._item: StreamItem | None = None
        self._shown: tuple[object, ...] = ()
        self._name, self._channels, self._rate = Cell(), Cell(number=True), Cell(number=True)
        self._source, self._since, self._health = Cell(), Cell(), StateCell()
        with ui.element("td").classes("action"):
            with ui.element("div").classes("pair") as self._start:
                self._decoder = Choice("Decoder").classes("grow")
                self._button = button("Decode", self._decode, primary=True)
            self._note = ui.label().classes("quiet")
            self._calibrate = link("Calibrate a decoder on it", f"{PATH}/calibrate?{urlencode({'neural': name})}")
            self._unfit = ui.html("", sanitize=False).classes("quiet")

    def update(self, item: StreamItem) -> None:
        self._item, stream = item, item.watched.stream
        speed = 1.0 if item.watched.description is None else item.watched.description.speed
        self._name.show(stream.name, stream.type)
        unit = next((unit for unit in item.watched.units if unit), "")
        self._channels.show(f"{stream.n_channels}", unit)
        rate = f"{stream.rate_hz:g} Hz" if stream.rate_hz > 0 else "irregular"
        self._rate.show(rate, f"replay, {speed:g} x real time" if speed != 1 else stream.channel_format)
        self._source.show(stream.source_id or "no source_id", stream.hostname)
        self._since.show(clock(item.watched.since), f"{duration(time.time() - item.watched.since)} ago")
        self._health.show(*_health(item))
        fitting = {fit.decoder: fit.label for fit in item.fits if not fit.reason}
        unfit = [fit for fit in item.fits if fit.reason]
        shown = (tuple(fitting), tuple(unfit), item.session is None, stream.type, item.watched.gone_at is None)
        if shown == self._shown:
            return
        self._shown = shown
        self._show_action(item, fitting, unfit)

    def _show_action(self, item: StreamItem, fitting: dict[str, str], unfit: list[Fit]) -> None:
        is_truth = item.watched.stream.type.lower() == KINEMATICS
        usable = item.session is None and bool(fitting) and not is_truth and item.watched.gone_at is None
        self._start.set_visibility(usable)
        self._calibrate.set_visibility(not is_truth and item.watched.gone_at is None)
        if fitting:
            self._decoder.offer(fitting, next(iter(fitting)))
        self._decoder.props(f'aria-label="Decoder for {_attribute(item.watched.stream.name)}"')
        self._button.props(f'aria-label="Decode {_attribute(item.watched.stream.name)}"')
        note = ""
        if is_truth:
            note = "true movement: shown beside the estimates of its session"
        elif not item.fits:
            note = "no decoder yet: upload one, or calibrate one"
        elif not fitting:
            note = "no decoder fits"
        self._note.set_text(note)
        reasons = "" if is_truth else "".join(f"<li><b>{_text(f.label)}</b>: {_text(f.reason)}</li>" for f in unfit)
        count = f"{len(unfit)} decoder{'s do' if len(unfit) != 1 else ' does'} not fit: why?"
        self._unfit.set_content(f"<details><summary>{count}</summary><ul>{reasons}</ul></details>" if reasons else "")

    async def _decode(self) -> None:
        item = self._item
        if item is None:
            return
        self._button.disable()
        try:
            stream = item.watched.stream
            wanted = {"name": stream.name, "type": stream.type}
            if stream.source_id:
                wanted["source_id"] = stream.source_id
            name = await decode_stream(self._rest, wanted, self._decoder.required())
        except RefusedError as error:
            show_refusal(error)
            return
        finally:
            self._button.enable()
        ui.navigate.to(f"/sessions/{name}")


def _fits(watched: WatchedStream, now: Snapshot) -> list[Fit]:
    return [] if watched.description is None else fits(watched.stream, watched.description, now.decoders)


def _session_of(watched: WatchedStream, sessions: list[SessionStatus]) -> SessionStatus | None:
    """The session that decodes a stream, or waits for it."""
    for status in sessions:
        wanted = status.settings.stream
        source_fits = wanted.source_id in (None, watched.stream.source_id)
        same = source_fits and (wanted.name, wanted.type) == (watched.stream.name, watched.stream.type)
        if same and status.state in ("starting", "searching", "running"):
            return status
    return None


def _health(item: StreamItem) -> tuple[str, str, str]:
    gone_at, session = item.watched.gone_at, item.session
    if gone_at is not None:
        return "gone", f"for {duration(time.monotonic() - gone_at)}", "failed"
    if session is None:
        return "visible", "", "running"
    if session.state != "running":
        return "waiting", f"session {session.name} is {session.state}", "searching"
    age = session.last_bin_age_s
    if age is None or age > _FRESH_S:
        return "silent", f"no bin in session {session.name} for {duration(age or 0.0)}", "failed"
    lost = f"{session.bins_lost:,} bins lost" if session.bins_lost else "no bin lost"
    return "flowing", f"session {session.name}, {lost}", "running"


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(text: str) -> str:
    return re.sub(r"[\"'\\<>]", " ", text)
