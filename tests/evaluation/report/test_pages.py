"""Pages as a browser would take them: well-formed, complete in themselves, and with the right figures."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from bmi_decoder.config import OutputFilterSettings
from bmi_decoder.evaluation.judgement import judge
from bmi_decoder.evaluation.report.chart import MOST_POINTS, Chart
from bmi_decoder.evaluation.report.evaluation_page import evaluation_page
from bmi_decoder.evaluation.report.page import table
from bmi_decoder.evaluation.report.words import score
from bmi_decoder.recording import Output, Recording
from tests.evaluation.support import bundle, recording

VOID = {"meta", "link", "br", "img"}


class Checker(HTMLParser):
    """Collects what a page loads and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.paths: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        values = dict(attrs)
        self.loads += [f"{tag} {key}" for key in ("src", "href", "xlink:href", "srcset", "data") if key in values]
        if tag in ("script", "link", "iframe", "img"):
            self.loads.append(tag)
        if tag == "path":
            self.paths.append(values["d"] or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    assert checker.loads == []
    assert not re.search(r"url\((?!#)|@import|https?:", html), "the page loads something"
    assert "nan" not in " ".join(checker.paths)
    return checker


def test_the_page_is_complete_in_itself_and_has_the_figures() -> None:
    judgement = judge(bundle(), recording())
    html = evaluation_page(judgement, "my <decoder>")
    checked(html)
    assert "my &lt;decoder&gt;" in html and "<decoder>" not in html
    for values in judgement.figures["variants"].values():
        assert score(values["r2"]) in html and score(values["r2_causal"]) in html
    for heading in ("Accuracy", "Paths", "Output filters", "Operations and memory", "Bit budget", "Computing time"):
        assert f"<h2>{heading}</h2>" in html
    assert "hot, measured here" in html
    assert "prefers-color-scheme: dark" in html and "@media print" in html


def without_units(made: Recording) -> Recording:
    outputs = (Output("x", ""), Output("y", ""))
    return Recording(made.counts, made.kinematics, outputs, made.bin_s)


@pytest.mark.parametrize(
    "made",
    [
        recording(40),
        recording(200, segments=((0, 90), (90, 110), (110, 200))),
        without_units(recording(400)),
        Recording(recording().counts, recording().kinematics * [1.0, 0.0], recording().outputs, 0.02),
    ],
    ids=["short", "gaps", "no units", "one output rests"],
)
@pytest.mark.parametrize("filters", [None, OutputFilterSettings()], ids=["filters", "no filters"])
def test_unusual_recordings_get_a_page_too(made: Recording, filters: OutputFilterSettings | None) -> None:
    judgement = judge(bundle() if filters is None else bundle(filters=filters), made)
    html = evaluation_page(judgement, "d")
    checked(html)
    assert ("Output filters" in html) == (filters is None)


def test_without_operations_the_page_says_why() -> None:
    judgement = judge(bundle(), recording(300))
    judgement.figures.update(operations=None, operations_missing="torch is on holiday")
    assert "torch is on holiday" in checked_html(evaluation_page(judgement, "d"))


def checked_html(html: str) -> str:
    checked(html)
    return html


def test_long_lines_keep_their_extremes() -> None:
    y = np.sin(np.arange(100_000) / 50)
    y[77_777] = 9.0
    chart = Chart((0, 100_000), (-1, 10))
    chart.line(np.arange(100_000), y, "raw")
    (path,) = (path for path in checked(chart.svg()).paths if path.count("L") > 100)
    heights = [float(pair.split()[1]) for pair in re.split("[ML]", path) if pair]
    assert len(heights) <= MOST_POINTS
    assert min(heights) == pytest.approx(chart.y(9.0), abs=0.1)


def test_a_line_is_broken_where_there_is_no_value() -> None:
    chart = Chart((0, 4), (0, 1))
    chart.line([0, 1, 2, 3], [0.0, np.nan, 1.0, 1.0], "raw")
    assert any(path.count("M") == 2 and path.count("L") == 1 for path in checked(chart.svg()).paths)


def test_one_unit_is_as_long_on_both_axes_of_a_path() -> None:
    chart = Chart((0, 1), (0, 8), width=400, height=300, equal=True)
    assert chart.x(1) - chart.x(0) == pytest.approx(chart.y(0) - chart.y(1))


def test_tables_are_text() -> None:
    assert "<td>a &amp; b</td>" in table(["<x>"], [["a & b"]])


def test_names_beside_marks_do_not_cover_each_other() -> None:
    chart = Chart((0, 1), (0, 1), width=500, height=300)
    for i in range(6):
        chart.point(0.5, 0.5 + 0.001 * i, "c0", f"decoder number {i}")
    svg = chart.svg()
    checked(svg)
    heights = re.findall(r'class="name" x="([\d.]+)" y="([\d.]+)"', svg)
    assert len(set(heights)) == 6
