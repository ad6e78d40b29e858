"""One HTML page: style, sections, tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path

import bmi_decoder
from bmi_decoder.errors import BmiError

STYLE = (files("bmi_decoder.evaluation.report") / "style.css").read_text(encoding="utf-8")


def page(title: str, subtitle: str, sections: Sequence[str]) -> str:
    """The whole document."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n"
        f'<h1>{escape(title)}</h1><p class="note">{escape(subtitle)}</p>\n'
        + "\n".join(sections)
        + f'\n<p class="note">Written by bmi-decoder {escape(bmi_decoder.__version__)}, {made}.</p></body></html>\n'
    )


def section(title: str, *parts: str) -> str:
    """A heading and what stands under it."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def paragraph(text: str, style: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{style}">{escape(text)}</p>' if style else f"<p>{escape(text)}</p>"


def figures(pictures: Sequence[str], columns: str = "") -> str:
    """Pictures side by side; `columns` is empty for two, ``one`` or ``three``."""
    return f'<div class="figures {columns}">{"".join(f"<figure>{picture}</figure>" for picture in pictures)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], best: int | None = None) -> str:
    """A table of plain text; row `best` is emphasised."""
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        ('<tr class="best">' if i == best else "<tr>") + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for i, row in enumerate(rows)
    )
    return f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def cards(entries: Sequence[tuple[str, str]]) -> str:
    """Key figures, as pairs of value and what it is."""
    items = "".join(f'<div class="card"><b>{escape(value)}</b>{escape(name)}</div>' for value, name in entries)
    return f'<div class="cards">{items}</div>'


def write_page(directory: Path, html: str) -> Path:
    """Write ``index.html`` into a directory that is made if needed; returns its path.

    Raises
    ------
    BmiError
        If it cannot be written there.
    """
    path = directory / "index.html"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise BmiError(f"cannot write {path}: {error.strerror}") from None
    return path
