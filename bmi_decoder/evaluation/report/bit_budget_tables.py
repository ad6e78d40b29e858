"""Bit budgets of layers and of decoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bmi_decoder.evaluation.report.page import paragraph, section, table
from bmi_decoder.evaluation.report.words import count, score

if TYPE_CHECKING:
    from bmi_decoder.comparison.ranking import Figure, Standing

_MEANING = (
    "A connection's bit budget is inner steps per bin times bits of a weight times bits of an input. S-ACE weighs all "
    "operations by it, NS-ACE those that are not with a zero: what event-driven hardware does. Lower is less energy."
)


def budget_per_layer(budget: dict[str, Any]) -> str:
    """The section of a page about one decoder, from ``bit_budget`` of its figures."""
    rows = [
        [
            row["layer"],
            "cell" if row["shape"] is None else " × ".join(map(str, row["shape"])),
            str(row["weight_bits"]),
            str(row["activation_bits"]),
            f"{row['inner_steps']:.4g}",
            count(row["bit_budget"]),
            score(row["activity"]),
            count(row["s_ace"]),
            count(row["ns_ace"]),
        ]
        for row in budget["layers"]
    ]
    total = ["all", "", "", "", "", count(budget["bit_budget"]), "", count(budget["s_ace"]), count(budget["ns_ace"])]
    head = [
        "layer",
        "connections",
        "weight bits",
        "input bits",
        "inner steps",
        "bit budget",
        "activity",
        "S-ACE per bin",
        "NS-ACE per bin",
    ]
    return section("Bit budget", table(head, [*rows, total], best=len(rows)), paragraph(_MEANING, "note"))


def budget_per_decoder(standings: Sequence[Standing]) -> str:
    """The section of a page about several decoders; empty where nothing was counted."""
    counted = [standing for standing in standings if standing.s_ace is not None]
    if not counted:
        return ""
    rows = [
        [standing.entrant.name, *(_mean(figure) for figure in (standing.bit_budget, standing.s_ace, standing.ns_ace))]
        for standing in sorted(counted, key=lambda standing: standing.ns_ace.mean if standing.ns_ace else 0.0)
    ]
    head = ["decoder", "mean bit budget", "S-ACE per bin", "NS-ACE per bin"]
    note = f"Sorted by NS-ACE, mean over seeds. {_MEANING}"
    return section("Bit budget", table(head, rows), paragraph(note, "note"))


def _mean(figure: Figure | None) -> str:
    return count(None if figure is None else figure.mean)
