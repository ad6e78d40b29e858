"""Errors are one line, whatever the names in a file are."""

from __future__ import annotations

import pytest

from bmi_decoder.errors import BmiError, BundleError


@pytest.mark.parametrize("kind", [BmiError, BundleError])
def test_control_characters_are_escaped(kind: type[BmiError]) -> None:
    assert str(kind("it has \n\x00\x1b[31mspikes, größer 3 µs")) == "it has \\n\\x00\\x1b[31mspikes, größer 3 µs"
    assert str(kind("plain")) == "plain" and str(kind()) == ""
