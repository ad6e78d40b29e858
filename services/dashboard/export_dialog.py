"""Asks who was recorded: archives want to know, and no stream tells."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from services.dashboard.site import button

_FIELDS = {"subject": "Subject", "species": "Species, in Latin", "age": "Age in ISO 8601, such as P6Y"}
_SEXES = {"U": "unknown", "F": "female", "M": "male", "O": "other"}


async def asked_about_subject(file_name: str) -> dict[str, Any] | None:
    """The members of an `ExportRequest` that tell of the subject; None if nothing shall be exported."""
    with ui.dialog() as dialog, ui.element("div").classes("ask"):
        ui.label(f"Export {file_name} as NWB").classes("strong")
        ui.label("What is left empty stays unknown; archives such as DANDI ask for species, age and sex.").classes(
            "quiet"
        )
        fields = {name: ui.input(label).props("dense outlined") for name, label in _FIELDS.items()}
        sex = ui.select(_SEXES, label="Sex", value="U").props("dense outlined options-dense")
        with ui.element("div").classes("pair"):
            button("Export", lambda: dialog.submit(True), primary=True)
            button("Cancel", lambda: dialog.submit(False))
    go = await dialog
    about = {name: field.value.strip() for name, field in fields.items() if field.value and field.value.strip()}
    dialog.delete()
    return about | {"sex": sex.value} if go else None
