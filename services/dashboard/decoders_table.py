"""Decoders: what is stored, and what uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nicegui import ui

from services.control.storage.tables import DecoderRow
from services.dashboard.overview import Snapshot
from services.dashboard.rest import RefusedError, Rest
from services.dashboard.rows import Cell, KeyedTable
from services.dashboard.site import button, confirmed, show_refusal
from services.dashboard.words import bytes_size


@dataclass(frozen=True)
class DecoderItem:
    """A decoder and the sessions whose decoder it is."""

    row: DecoderRow
    used_by: tuple[str, ...]


class DecodersTable:
    """The table of decoders.

    Parameters
    ----------
    rest : Rest
    """

    def __init__(self, rest: Rest) -> None:
        self._table: KeyedTable[DecoderItem] = KeyedTable(
            "Decoders",
            ("Decoder", "#Channels", "#Bin width", "Outputs", "#Test R²", "Uploaded", "Used by", "Actions"),
            "No decoder yet. Upload a bundle that bmi-decoder train has made.",
            lambda item: item.row.id,
            lambda item: _DecoderRow(rest, item.row.id),
        )

    def update(self, now: Snapshot) -> None:
        """Show a snapshot."""
        users: dict[str, list[str]] = {}
        for status in now.sessions:
            users.setdefault(status.decoder, []).append(status.name)
        self._table.update([DecoderItem(row, tuple(users.get(row.id, ()))) for row in now.decoders])


class _DecoderRow:
    def __init__(self, rest: Rest, decoder: str) -> None:
        self._rest, self._id = rest, decoder
        self._kind, self._channels, self._bin = Cell(), Cell(number=True), Cell(number=True)
        self._outputs, self._r2, self._uploaded, self._used = Cell(), Cell(number=True), Cell(), Cell()
        with ui.element("td").classes("action"):
            self._delete = button("Delete", self._remove, label=f"Delete decoder {decoder}")

    def update(self, item: DecoderItem) -> None:
        row, manifest = item.row, item.row.manifest
        self._kind.show(str(manifest["decoder"]), f"{row.file_name} · {row.id[:8]} · {bytes_size(row.size_bytes)}")
        self._channels.show(str(manifest["n_channels"]))
        self._bin.show(f"{float(manifest['bin_s']) * 1e3:g} ms")
        outputs = manifest["outputs"]
        self._outputs.show(", ".join(o["name"] for o in outputs), ", ".join(sorted({o["unit"] for o in outputs})))
        r2 = test_r2(manifest.get("metrics", {}))
        self._r2.show("–" if r2 is None else f"{r2:.3f}")
        day, _, time_of_day = row.uploaded_at.partition("T")
        self._uploaded.show(day, f"{time_of_day[:5]} UTC")
        self._used.show(", ".join(item.used_by) or "–")
        self._delete.set_visibility(not item.used_by)

    async def _remove(self) -> None:
        if await confirmed(f"Delete decoder {self._id}? This cannot be undone.", "Delete"):
            try:
                await self._rest.delete(f"/v1/decoders/{self._id}")
            except RefusedError as error:
                show_refusal(error)


def test_r2(metrics: dict[str, Any]) -> float | None:
    """R² of the raw output on the data held out, where the bundle says it."""
    value: Any = metrics
    for key in ("test", "raw", "r2"):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None
