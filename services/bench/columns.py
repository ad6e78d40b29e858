"""Lines of a table on the terminal."""

from __future__ import annotations

from collections.abc import Iterable


def line(cells: Iterable[tuple[str, int]]) -> str:
    """Cells, each with its width, flush right."""
    return "  ".join(text.rjust(width) for text, width in cells)
