"""Errors are one line that can be read, whatever the names in a file are."""

from __future__ import annotations

import pytest

from bmi_decoder.errors import BmiError, BundleError


@pytest.mark.parametrize("kind", [BmiError, BundleError])
def test_control_characters_are_escaped(kind: type[BmiError]) -> None:
    assert str(kind("it has \n\x00\x1b[31mspikes, größer 3 µs")) == "it has \\n\\x00\\x1b[31mspikes, größer 3 µs"
    assert str(kind("plain")) == "plain" and str(kind()) == ""


def test_a_message_of_any_length_keeps_its_beginning_and_its_end() -> None:
    text = str(BmiError(f"file.xdf: there is no stream; it has '{'x' * 5000}'. Choose another"))
    assert len(text) < 2000
    assert text.startswith("file.xdf: there is no stream; it has 'xxx") and text.endswith("xxx'. Choose another")
