from __future__ import annotations

import json
import logging
import sys

from services.control.logs import JsonFormatter


def test_a_line_is_json_and_names_its_session() -> None:
    try:
        raise ValueError("why\nnot")
    except ValueError:
        exc_info = sys.exc_info()
    record = logging.LogRecord("a.b", logging.WARNING, "f", 1, "session %s: %s", ("m1", 'x "y"\n'), exc_info)
    record.session = "m1"
    text = JsonFormatter().format(record)
    line = json.loads(text)
    assert "\n" not in text
    assert (line["level"], line["logger"], line["session"]) == ("warning", "a.b", "m1")
    assert line["message"] == 'session m1: x "y"\n'
    assert "ValueError: why" in line["exception"]
    assert line["at"].endswith("+00:00")
