"""The demo's live picture in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_MEANING = {
    "raw": "as decoded, no delay",
    "low_latency": "filtered, newest sample of the block",
    "high_accuracy": "filtered, middle of the block",
}


def live_table(summary: dict[str, Any], lookahead_s: dict[str, float], url: str, endpoint: str) -> RenderableType:
    """Everything that the demo knows, as one panel."""
    bins = Table.grid(padding=(0, 3))
    bins.add_row(
        f"bins in [b]{summary['bins_in']}[/]",
        f"decoded [b]{summary['bins_decoded']}[/]",
        f"lost [b]{summary['bins_lost']}[/]",
        f"duplicated [b]{summary['bins_duplicated']}[/]",
    )
    accuracy = Table("output", "velocity R2", "looks ahead", "", box=None, pad_edge=False)
    for name, r2 in summary["r2"].items():
        accuracy.add_row(name, _number(r2, ".3f"), f"{lookahead_s[name] * 1e3:.0f} ms", _MEANING[name])
    latency = Table.grid(padding=(0, 3))
    values = summary["latency_us"]
    latency.add_row(
        "LSL push to ZeroMQ receive",
        f"p50 [b]{_number(values['p50'], '.0f')} us[/]",
        f"p99 [b]{_number(values['p99'], '.0f')} us[/]",
        f"p99.9 [b]{_number(values['p999'], '.0f')} us[/]",
    )
    where = Text.assemble(
        ("REST and its documentation  ", "dim"),
        f"{url}/docs\n",
        ("this session                ", "dim"),
        f"{url}/v1/sessions/demo\n",
        ("in your own program         ", "dim"),
        f'from bmi_decoder.client import Subscriber; print(next(iter(Subscriber("{endpoint}"))))',
    )
    return Panel(
        Group(bins, "", accuracy, "", latency, "", where),
        title=f"bmi-decoder demo: {summary['decoder']}, revision {summary['revision']}",
        subtitle="Ctrl-C ends everything",
    )


def _number(value: float | None, form: str) -> str:
    return "..." if value is None else format(value, form)
