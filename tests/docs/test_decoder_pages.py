"""Pages of decoders tell the same things in the same order."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/reference/decoders").glob("*.md"))
SECTIONS = ["Per bin", "Settings", "Cost", "Agreement", "Measured", "Source and differences"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_sections_are_those_of_every_decoder(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    for block in (f"presets {page.stem}", f"costs {page.stem}"):
        assert f"<!-- generated: {block} -->" in text
