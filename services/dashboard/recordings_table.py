"""Recordings: what is stored, and what can be made of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from services.control.storage.tables import RecordingRow
from services.dashboard import PATH
from services.dashboard.export_dialog import asked_about_subject
from services.dashboard.rest import RefusedError, Rest
from services.dashboard.rows import Cell, KeyedTable
from services.dashboard.site import button, confirmed, link, show_refusal
from services.dashboard.words import bytes_size, recording_words


class RecordingsTable:
    """The table of recordings.

    Parameters
    ----------
    rest : Rest
    """

    def __init__(self, rest: Rest) -> None:
        self._table: KeyedTable[RecordingRow] = KeyedTable(
            "Recordings",
            ("Recording", "Format", "#Channels", "#Bins", "Movement", "Stored", "Actions"),
            "No recording yet. Record a session on its page, calibrate, or upload one.",
            lambda row: row.id,
            lambda row: _RecordingRow(rest, row),
        )

    def update(self, rows: list[RecordingRow]) -> None:
        """Show these."""
        self._table.update(rows)


class _RecordingRow:
    def __init__(self, rest: Rest, row: RecordingRow) -> None:
        self._rest, self._row = rest, row
        self._name, self._format = Cell(), Cell()
        self._channels, self._bins = Cell(number=True), Cell(number=True)
        self._movement, self._stored = Cell(), Cell()
        with ui.element("td").classes("action"), ui.element("div").classes("pair"):
            _named(link("Train", f"{PATH}/calibrate?{urlencode({'recording': row.id})}"), f"Train on {row.id}")
            if row.suffix == ".xdf":
                button("Export NWB", self._export, label=f"Export {row.id} as NWB")
            _named(link("Download", f"/v1/recordings/{row.id}/file"), f"Download {row.id}")
            button("Delete", self._remove, label=f"Delete recording {row.id}")

    def update(self, row: RecordingRow) -> None:
        read = row.inspection["recording"]
        self._name.show(row.file_name, f"{row.id[:8]} · {bytes_size(row.size_bytes)}", title=row.file_name)
        self._format.show(str(row.inspection["format"]), "" if read is not None else "choices are needed")
        self._channels.show("–" if read is None else str(len(read["channels"])))
        self._bins.show(*_bins(read))
        self._movement.show(", ".join(output["name"] for output in read["outputs"]) if read else "–")
        day, _, time_of_day = row.uploaded_at.partition("T")
        self._stored.show(day, f"{time_of_day[:5]} UTC")

    async def _export(self) -> None:
        about = await asked_about_subject(self._row.file_name)
        if about is None:
            return
        try:
            job = await self._rest.post("/v1/jobs", {"kind": "export", "recording": self._row.id, **about})
        except RefusedError as error:
            show_refusal(error)
            return
        ui.navigate.to(f"/jobs/{job['id']}")

    async def _remove(self) -> None:
        if await confirmed(f"Delete {recording_words(self._row)}? This cannot be undone.", "Delete"):
            try:
                await self._rest.delete(f"/v1/recordings/{self._row.id}")
            except RefusedError as error:
                show_refusal(error)


def _bins(read: dict[str, Any] | None) -> tuple[str, str]:
    if read is None:
        return "–", ""
    return f"{read['bins']:,}", f"{float(read['bin_s']) * 1e3:g} ms, {read['bins'] * read['bin_s']:.0f} s"


def _named(element: ui.element, label: str) -> None:
    element.props["aria-label"] = label
