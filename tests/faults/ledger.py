"""What was injected, and what came of it: a row for each fault, and the page that holds them all."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

RESUMES_S = 1.0
"""Decoding goes on so soon after the cause is gone."""

RESTARTS_S = 3.0
"""The same, where a process has to start."""

_HEAD = """# What happens when something breaks

`make faults` breaks a running system in each of the ways below and measures what comes of it. The suite wrote this
page. A rig pushes 250 samples a second whose values tell which sample they are, so that every estimate is checked
against the sample that its stamp names: one that is decoded from anything else, and has no flag that says so, fails the
suite. So does a number that the sequence of estimates leaves out, a process or a shared-memory segment that stays
behind, and decoding that does not go on within {resumes:g} s of the end of the cause, or {restarts:g} s where a process
has to start.

- *detected after*: from the fault to the event or the status that tells of it; - where there is nothing to tell.
- *lost*: samples that were pushed and have no estimate of their own.
- *recovered after*: from the end of the cause to the next estimate that is whole.

"""


@dataclass
class Row:
    """One fault.

    Attributes
    ----------
    injected : str
        In words.
    detected_s : float or None
    detected_by : str
        What tells of it.
    lost : int
    recovered_s : float or None
    remark : str
    """

    injected: str = ""
    detected_s: float | None = None
    detected_by: str = ""
    lost: int = 0
    recovered_s: float | None = None
    remark: str = ""


@dataclass
class Ledger:
    """Rows of all faults, in the order in which they were injected."""

    rows: list[Row] = field(default_factory=list)

    def page(self) -> str:
        """The page in Markdown."""
        table = ["| injected | detected after | lost | recovered after | |", "|---|---|---|---|---|"]
        for row in sorted(self.rows, key=lambda row: row.injected):
            told = "-" if row.detected_s is None else f"{1e3 * max(0.0, row.detected_s):.0f} ms: {row.detected_by}"
            again = "-" if row.recovered_s is None else f"{1e3 * max(0.0, row.recovered_s):.0f} ms"
            table.append(f"| {row.injected} | {told} | {row.lost} | {again} | {row.remark} |")
        load = f"{os.cpu_count()} processors, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"
        head = _HEAD.format(resumes=RESUMES_S, restarts=RESTARTS_S)
        return head + "\n".join(table) + f"\n\nMeasured on {load}, Python {platform.python_version()}.\n"

    def write(self, path: Path) -> None:
        """Write the page."""
        path.write_text(self.page())
