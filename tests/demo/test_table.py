from __future__ import annotations

import io

from rich.console import Console

from bmi_decoder.wire import Variant
from services.demo.scoreboard import Scoreboard
from services.demo.table import live_table

VARIANTS = (Variant.raw, Variant.low_latency, Variant.high_accuracy)


def test_the_table_shows_what_is_known_and_dots_for_the_rest() -> None:
    summary = Scoreboard(VARIANTS, 2, 0.004).summary() | {"decoder": "lstm", "revision": 1, "bins_in": 1234}
    summary["r2"] = summary["r2"] | {"raw": 0.6543}
    console = Console(file=io.StringIO(), width=120)
    lookahead_s = {"raw": 0.0, "low_latency": 0.0, "high_accuracy": 0.064}
    console.print(live_table(summary, lookahead_s, "http://127.0.0.1:8000", "tcp://127.0.0.1:5555"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("1234", "0.654", "...", "64 ms", "http://127.0.0.1:8000/docs", "tcp://127.0.0.1:5555", "lstm"):
        assert text in shown
