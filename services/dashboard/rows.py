"""A table whose rows are kept as long as what they show: focus and open menus survive an update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from nicegui import ui

Item = TypeVar("Item")
Shown = TypeVar("Shown", contravariant=True)


class Row(Protocol[Shown]):
    """One row: built in a ``tr``, then told of every change."""

    def update(self, item: Shown) -> None:
        """Show an item."""


class KeyedTable(Generic[Item]):
    """A table with one row per key.

    Parameters
    ----------
    caption : str
        For screen readers.
    columns : sequence of str
        Headings; one that begins with ``#`` is of numbers.
    empty : str
        What to do when there is no row.
    key : callable
    make : callable
        Builds the cells of a row.
    """

    def __init__(
        self,
        caption: str,
        columns: Sequence[str],
        empty: str,
        key: Callable[[Item], str],
        make: Callable[[Item], Row[Item]],
    ) -> None:
        self._key, self._make = key, make
        self._rows: dict[str, tuple[ui.element, Row[Item]]] = {}
        with ui.element("div").classes("scroll"):
            self._table = ui.element("table").props(f'aria-label="{caption}"').classes("list")
            with self._table:
                with ui.element("thead"), ui.element("tr"):
                    for column in columns:
                        heading = ui.element("th").props('scope="col"').classes("number" if column[:1] == "#" else "")
                        with heading:
                            ui.label(column.lstrip("#"))
                self._body = ui.element("tbody")
        self._empty = ui.label(empty).classes("empty")
        self.update([])

    def update(self, items: Sequence[Item]) -> None:
        """Show these items, in this order."""
        wanted = {self._key(item): item for item in items}
        for key in [key for key in self._rows if key not in wanted]:
            self._rows.pop(key)[0].delete()
        for at, (key, item) in enumerate(wanted.items()):
            if key not in self._rows:
                with self._body, ui.element("tr") as line:
                    row = self._make(item)
                self._rows[key] = line, row
            line, row = self._rows[key]
            if self._body.default_slot.children.index(line) != at:
                line.move(target_index=at)
            row.update(item)
        self._table.set_visibility(bool(wanted))
        self._empty.set_visibility(not wanted)


class Cell:
    """A cell of text, with a second, quieter line below it."""

    def __init__(self, number: bool = False) -> None:
        with ui.element("td").classes("number" if number else ""):
            self._first, self._second = ui.label(), ui.label().classes("quiet")

    def show(self, first: str, second: str = "", title: str = "") -> None:
        """Set both lines; nothing is sent where nothing has changed."""
        for label, text in ((self._first, first), (self._second, second)):
            if label.text != text:
                label.set_text(text)
        if self._first.props.get("title", "") != title:
            self._first.props["title"] = title


class StateCell:
    """A state as a badge, and why below it."""

    def __init__(self) -> None:
        with ui.element("td"):
            self._badge, self._why = ui.label().classes("badge"), ui.label().classes("quiet why")
        self._state = ""

    def show(self, state: str, why: str = "", kind: str = "") -> None:
        """Set it; `kind` chooses the colour where the word alone does not."""
        wanted = kind or state
        if wanted != self._state:
            self._badge.classes(remove=f"is-{self._state}", add=f"is-{wanted}")
            self._state = wanted
        if self._badge.text != state:
            self._badge.set_text(state)
        if self._why.text != why:
            self._why.set_text(why)
