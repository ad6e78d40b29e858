"""R² of a new decoder, and beside it that of the decoder in use on the same bins."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from bmi_decoder.wire import Variant

_PARTS = ("validation", "test")
_ABOUT = (
    "On the validation part the best epoch and the output filters were chosen, which flatters the new decoder a "
    "little; the test part was only judged."
)


def r2_table(result: dict[str, Any]) -> None:
    """Build the table of a job's result."""
    comparison = result.get("comparison") or {}
    compared = "session" in comparison and "missing" not in comparison
    columns = ["Part", "Estimate", "#R²", "#R² of each output"]
    if compared:
        columns += ["#Same bins", "#New", f"#In use, {comparison['session']}", "#Gain"]
    with ui.element("div").classes("scroll"), ui.element("table").classes("list").props('aria-label="R²"'):
        with ui.element("thead"), ui.element("tr"):
            for column in columns:
                with ui.element("th").props('scope="col"').classes("number" if column[0] == "#" else ""):
                    ui.label(column.lstrip("#"))
        with ui.element("tbody"):
            for part in _PARTS:
                for variant, figures in _in_order(result["metrics"].get(part) or {}):
                    both = (comparison.get(part) or {}).get(variant) if compared else None
                    with ui.element("tr").props(f'data-part="{part}" data-variant="{variant}"'):
                        _row(part, variant, figures, both, compared)
    if "missing" in comparison:
        ui.label(f"No comparison with the decoder in use: {comparison['missing']}").classes("quiet")
    if comparison.get("trained_on_it"):
        ui.label("The decoder in use was trained on this very recording: its figures flatter it.").classes("quiet")
    ui.label(_ABOUT).classes("quiet")


def _in_order(figures: dict[str, Any]) -> list[tuple[str, Any]]:
    """Variants as they are published."""
    return [(one.name, figures[one.name]) for one in Variant if one.name in figures]


def _row(part: str, variant: str, figures: dict[str, Any], both: dict[str, Any] | None, compared: bool) -> None:
    each = ", ".join(f"{name} {_number(value)}" for name, value in figures["r2_per_output"].items())
    for text in (part, variant.replace("_", " ")):
        _cell(text)
    _cell(_number(figures["r2"]), "number strong r2")
    _cell(each, "number")
    if not compared:
        return
    new, in_use = (None, None) if both is None else (both["new"]["r2"], both["in_use"]["r2"])
    _cell("–" if both is None else f"{both['bins']:,}", "number")
    _cell(_number(new), "number")
    _cell(_number(in_use), "number")
    gain = None if new is None or in_use is None else new - in_use
    _cell(
        "–" if gain is None else f"{gain:+.3f}", "number " + ("" if gain is None else "better" if gain > 0 else "worse")
    )


def _cell(text: str, classes: str = "") -> None:
    with ui.element("td").classes(classes):
        ui.label(text)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
