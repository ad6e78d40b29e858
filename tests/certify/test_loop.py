from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from services.bench.latency.lanes import FLOOR
from services.bench.latency.rounds import Round
from services.certify.finding import Finding
from services.certify.limits import Limits
from services.certify.loop import DECODER, LoopFacts, check_loop
from services.certify.page import certify_page
from services.certify.table import findings_table, verdict_line

HOST = {"cpu": "a processor", "cores": 2, "kernel": "6.0", "load_average": [0.5]}


def loop(late: int = 0, relay_late: int = 0, missing: int = 0, n: int = 2000) -> LoopFacts:
    """Estimates that take 300 us, but for some that take 5 ms."""
    times = [np.where(np.arange(n) < count, 5000.0, 300.0) for count in (late, relay_late)]
    rounds = [Round(DECODER, times[0], missing, 80.0, 60.0, {}), Round(FLOOR, times[1], 0, 80.0, 60.0, {})]
    return LoopFacts("lstm", 96, 0.004, rounds)


def check(facts: LoopFacts, limits: Limits | None = None) -> dict[str, Finding]:
    return {one.check: one for one in check_loop(facts, limits or Limits())}


def test_in_time() -> None:
    findings = check(loop())
    assert {one.verdict for one in findings.values()} == {"pass"}
    assert findings["latency"].figures["latency_us"]["p99.9"] == 300.0
    assert "0 of 2000 estimates later than 4 ms" in findings["deadline"].found


@pytest.mark.parametrize(("late", "verdict"), [(0, "pass"), (2, "warn"), (3, "fail")])
def test_one_in_a_thousand_may_be_late(late: int, verdict: str) -> None:
    assert check(loop(late))["deadline"].verdict == verdict


def test_limits_move_the_deadline() -> None:
    assert check(loop(500), Limits(deadline=1.3))["deadline"].verdict == "pass"
    assert check(loop(500), Limits(deadline_misses=0.3))["deadline"].verdict == "warn"


def test_the_remedy_tells_the_host_from_the_decoder() -> None:
    assert "smaller decoder" in check(loop(500))["deadline"].remedy
    assert "it is this host" in check(loop(500, relay_late=400))["deadline"].remedy


def test_what_is_missing_fails() -> None:
    assert check(loop(missing=1))["losses"].verdict == "fail"
    nothing = check(loop(missing=2000, n=0))
    assert {one.verdict for one in nothing.values()} == {"fail"}


FINDINGS = [
    Finding("machine", "swap", "pass", "none"),
    Finding("machine", "load", "warn", "load 3", "end something"),
    Finding("<b>M1", "channels", "fail", "95, expected 96", "correct the [rig]"),
]


def test_the_table_ends_with_what_to_do() -> None:
    console = Console(file=StringIO(), width=100)
    console.print(findings_table(FINDINGS))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "fail  <b>M1, channels: correct the [rig]" in said
    assert said.rstrip().endswith("not fit for a session: 1 passed, 1 to read, 1 failed")
    assert verdict_line(FINDINGS[:2]).startswith("fit for a session")


def test_the_page_loads_nothing() -> None:
    html = certify_page(FINDINGS, loop(5), Limits(), HOST)
    assert "&lt;b&gt;M1" in html and "<b>M1" not in html
    assert "correct the [rig]" in html and "deadline" in html
    assert "http" not in html and "<script" not in html
    assert "<svg" not in certify_page(FINDINGS, None, Limits(), HOST)
