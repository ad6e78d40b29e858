"""Requests made from the OpenAPI document, valid and invalid."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.fuzz_rest import World, fuzz, serving

pytestmark = pytest.mark.system


def test_every_answer_is_as_documented(tmp_path: Path) -> None:
    with serving(tmp_path) as url, closing(World(url, tmp_path)) as world:
        result = fuzz(url, world, 120, derandomize=True)
    assert result["failures"] == []
    assert result["server_errors"] == 0
    # Two valid ones at least for each, and invalid ones where there can be any.
    assert result["cases"] > 2 * result["operations"]
