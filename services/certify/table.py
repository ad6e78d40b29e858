"""The findings on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.certify.finding import Finding, passed

_STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red"}


def findings_table(findings: Sequence[Finding]) -> RenderableType:
    """A line for each, then what to do about those that did not pass."""
    table = Table("", "", "check", "found", box=None, pad_edge=False)
    area = ""
    for one in findings:
        table.add_row(
            Text(one.area if one.area != area else "", "bold"),
            Text(one.verdict, _STYLES[one.verdict]),
            Text(one.check),
            Text(one.found),
        )
        area = one.area
    return Group(table, *(_remedies(findings, verdict) for verdict in ("warn", "fail")), Text(verdict_line(findings)))


def verdict_line(findings: Sequence[Finding]) -> str:
    """The verdict in one sentence."""
    counts = {verdict: sum(one.verdict == verdict for one in findings) for verdict in _STYLES}
    whole = "fit for a session" if passed(findings) else "not fit for a session"
    return f"{whole}: {counts['pass']} passed, {counts['warn']} to read, {counts['fail']} failed"


def _remedies(findings: Sequence[Finding], verdict: str) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for one in findings:
        if one.verdict == verdict:
            table.add_row(Text(one.verdict, _STYLES[verdict]), Text(f"{one.area}, {one.check}: {one.remedy}"))
    return Group("", table) if table.row_count else Text("")
