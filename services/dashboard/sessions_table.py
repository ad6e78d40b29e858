"""Sessions: state, figures, and what can be done with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nicegui import ui

from bmi_decoder.rest_models import SessionStatus
from services.dashboard import PATH
from services.dashboard.fit import decoder_label
from services.dashboard.overview import Snapshot
from services.dashboard.rest import RefusedError, Rest, session_path
from services.dashboard.rows import Cell, KeyedTable, StateCell
from services.dashboard.site import button, confirmed, link, show_refusal
from services.dashboard.words import milliseconds

_AT_REST = ("stopped", "failed")


@dataclass(frozen=True)
class SessionItem:
    """A session and its decoder in words."""

    status: SessionStatus
    decoder: str


class SessionsTable:
    """The table of sessions.

    Parameters
    ----------
    rest : Rest
    """

    def __init__(self, rest: Rest) -> None:
        self._table: KeyedTable[SessionItem] = KeyedTable(
            "Sessions",
            ("Session", "State", "Stream", "Decoder", "#Bins decoded", "#Bins lost", "#Latency p50 / p99", "Actions"),
            "No session yet. Choose Decode at a stream above.",
            lambda item: item.status.name,
            lambda item: _SessionRow(rest, item.status.name),
        )

    def update(self, now: Snapshot) -> None:
        """Show a snapshot."""
        labels = {row.id: decoder_label(row) for row in now.decoders}
        self._table.update([SessionItem(status, labels.get(status.decoder, status.decoder)) for status in now.sessions])


class _SessionRow:
    def __init__(self, rest: Rest, name: str) -> None:
        self._rest, self._name = rest, name
        with ui.element("td"):
            link(name, f"{PATH}/sessions/{name}").classes("strong")
        self._state, self._stream, self._decoder = StateCell(), Cell(), Cell()
        self._decoded, self._lost, self._latency = Cell(number=True), Cell(number=True), Cell(number=True)
        with ui.element("td").classes("action"), ui.element("div").classes("pair"):
            self._start = self._button("Start", lambda: self._act("start"))
            self._stop = self._button("Stop", lambda: self._act("stop"))
            self._delete = self._button("Delete", self._remove)

    def update(self, item: SessionItem) -> None:
        status = item.status
        self._state.show(status.state, status.message)
        self._stream.show(status.settings.stream.name, status.settings.stream.type)
        kind, _, rest = item.decoder.partition(" · ")
        self._decoder.show(f"{kind}, revision {status.revision}", rest)
        self._decoded.show(f"{status.bins_decoded:,}")
        self._lost.show(f"{status.bins_lost:,}")
        latency = status.latency_us
        self._latency.show("–" if latency is None else f"{milliseconds(latency.p50)} / {milliseconds(latency.p99)}")
        at_rest = status.state in _AT_REST
        self._start.set_visibility(at_rest)
        self._delete.set_visibility(at_rest)
        self._stop.set_visibility(not at_rest)

    def _button(self, word: str, act: Callable[[], object]) -> ui.button:
        return button(word, act, label=f"{word} {self._name}")

    async def _act(self, verb: str) -> None:
        try:
            await self._rest.post(f"{session_path(self._name)}/{verb}")
        except RefusedError as error:
            show_refusal(error)

    async def _remove(self) -> None:
        question = f"Delete session {self._name} with its log? This cannot be undone."
        if await confirmed(question, "Delete"):
            try:
                await self._rest.delete(session_path(self._name))
            except RefusedError as error:
                show_refusal(error)
