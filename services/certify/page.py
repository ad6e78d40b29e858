"""The findings as one HTML page that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bmi_decoder.errors import BmiError
from bmi_decoder.evaluation.report.chart import legend
from bmi_decoder.evaluation.report.page import cards, figures, page, section
from services.bench.latency.lanes import FLOOR
from services.bench.latency.report import tail
from services.certify.finding import Finding
from services.certify.limits import Limits
from services.certify.loop import DECODER, LoopFacts
from services.certify.table import verdict_line
from services.percentiles import percentiles

_STYLES = {DECODER: "raw", FLOOR: "truth"}


def certify_page(findings: Sequence[Finding], loop: LoopFacts | None, limits: Limits, host: Mapping[str, Any]) -> str:
    """The page.

    Parameters
    ----------
    findings : sequence of Finding
    loop : LoopFacts or None
        What was timed, if anything was.
    limits : Limits
    host : mapping
        As `services.bench.host.host` tells it.
    """
    parts = [_key_figures(loop)] if loop is not None and len(loop.lane(DECODER).latency_us) else []
    parts += [section(_title(area), _table([one for one in findings if one.area == area])) for area in _areas(findings)]
    if loop is not None and all(len(one.latency_us) for one in loop.rounds):
        names = [(_STYLES[DECODER], loop.decoder), (_STYLES[FLOOR], "relay that decodes nothing")]
        picture = tail(loop.rounds, _STYLES, limits.deadline * loop.bin_s * 1e6)
        parts.append(section("Timed loop", legend(names), figures([picture], "one")))
    where = f"{host['cpu']}, {host['cores']} cores, Linux {host['kernel']}, load {host['load_average'][0]}"
    verdict = verdict_line(findings)
    return page(f"{verdict[0].upper()}{verdict[1:]}", where, parts)


def write_certificate(path: Path, html: str) -> None:
    """Write the page.

    Raises
    ------
    BmiError
        If it cannot be written.
    """
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise BmiError(f"cannot write {path}: {error.strerror}") from None


def _areas(findings: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(one.area for one in findings))


def _title(area: str) -> str:
    return {"machine": "Machine", "decoder": "Decoder", "LSL": "LSL"}.get(area, f"Stream {area}")


def _key_figures(loop: LoopFacts) -> str:
    latency_us = percentiles(loop.lane(DECODER).latency_us)
    entries = [(f"{latency_us[name]:.0f} us", f"push to estimate, {name}") for name in ("p50", "p99", "p99.9")]
    return cards([*entries, (f"{loop.bin_s * 1e3:g} ms", "bin width")])


def _table(findings: Sequence[Finding]) -> str:
    rows = "".join(
        f'<tr><td class="{one.verdict}">{one.verdict}</td><td>{escape(one.check)}</td><td>{escape(one.found)}'
        + (f'<p class="note">{escape(one.remedy)}</p>' if one.remedy else "")
        + "</td></tr>"
        for one in findings
    )
    return f'<table class="findings"><tbody>{rows}</tbody></table>'
