"""The documentation's links lead somewhere, and its measured and generated parts are there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy/README.md", *(ROOT / "docs").rglob("*.md")]
)
LARGEST_PICTURE = 200_000


def links(page: Path) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.relative_to(ROOT)} links to {link}, which does not exist"
        assert ROOT in target.parents, f"{page.relative_to(ROOT)} links to {link}, outside of the project"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), (
                f"{page.relative_to(ROOT)} links to {link}; it has {sorted(anchors(target))}"
            )


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, waiting = set(), [ROOT / "docs/index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        waiting += [
            (page.parent / link.partition("#")[0]).resolve() for link in links(page) if not link.startswith("#")
        ]
    assert set((ROOT / "docs").rglob("*.md")) <= seen


def test_readme_has_the_parts_that_tests_and_people_look_for() -> None:
    text = (ROOT / "README.md").read_text()
    assert re.search(r"<!-- tutorial -->\n```bash\n.+?^```$", text, re.DOTALL | re.MULTILINE)
    assert re.search(r"<!-- figures -->\n.*?<!-- /figures -->", text, re.DOTALL)


def test_pictures_are_small() -> None:
    for picture in (ROOT / "docs/pictures").glob("*.png"):
        assert picture.stat().st_size < LARGEST_PICTURE, f"{picture.name} has {picture.stat().st_size} bytes"


def test_generated_tables_are_up_to_date() -> None:
    pytest.importorskip("torch")
    script = ROOT / "docs/make_reference.py"
    ended = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, f"run python docs/make_reference.py\n{ended.stdout}{ended.stderr}"
