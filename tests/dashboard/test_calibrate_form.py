"""What a user has chosen on the calibration page stays, whatever comes and goes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pylsl
import pytest
from nicegui import Client, ui
from nicegui.page import page

from bmi_decoder.rest_models import SessionStatus
from services.control.storage.tables import RecordingRow
from services.dashboard.calibrate_form import CalibrateForm, Wanted
from services.dashboard.choice import Choice
from services.dashboard.overview import Snapshot
from services.dashboard.rest import RefusedError, Rest
from services.dashboard.streams import WatchedStream
from services.ingest.lsl import describe

SESSION = "Compare with, and deploy to"


@pytest.fixture(autouse=True)
def client() -> Iterator[Client]:
    with Client(page("/calibrate"), request=None) as client:
        yield client
    client.delete()


def _form(**wanted: str) -> CalibrateForm:
    return CalibrateForm(cast(Rest, SimpleNamespace()), Wanted(**wanted))


def _stream(name: str, kind: str = "spikes", source: str = "rig") -> WatchedStream:
    info = pylsl.StreamInfo(name, kind, 7, 100.0, "float32", source)
    return WatchedStream(info, describe(info), since=0.0)


def _rig(name: str) -> list[WatchedStream]:
    return [_stream(name), _stream(f"{name}-kinematics", "kinematics")]


def _session(name: str, stream: str, state: str = "stopped") -> SessionStatus:
    settings = SimpleNamespace(stream=SimpleNamespace(name=stream))
    return cast(SessionStatus, SimpleNamespace(name=name, state=state, settings=settings))


def _recording(identity: str) -> RecordingRow:
    read = {"bins": 100, "bin_s": 0.01}
    inspection = {"problem": "", "recording": read, "format": "npz"}
    row = SimpleNamespace(id=identity, file_name=f"{identity}.npz", suffix=".npz", inspection=inspection)
    return cast(RecordingRow, row)


def _field(client: Client, label: str) -> ui.select:
    return next(e for e in client.elements.values() if isinstance(e, ui.select) and e.props.get("label") == label)


def _answer(field: ui.select, words: str) -> Any:
    """What the browser sends when the user chooses the option with these words, as it is offered now."""
    return next(option for option in field.props["options"] if words in option["label"])


def _send(field: ui.select, answer: Any) -> None:
    listener = next(one for one in field._event_listeners.values() if one.type == "update:modelValue")
    field._handle_event({"listener_id": listener.id, "args": answer})


def _choose(client: Client, label: str, words: str) -> None:
    field = _field(client, label)
    _send(field, _answer(field, words))


def test_a_stream_that_appears_takes_no_session_away(client: Client) -> None:
    form = _form(recording="r1")
    sessions, recordings = [_session("m1", "elsewhere")], [_recording("r1")]
    form.update(Snapshot(sessions=sessions, recordings=recordings))
    _choose(client, SESSION, "m1")
    form.update(Snapshot(streams=_rig("another"), sessions=sessions, recordings=recordings))
    assert form._request()["session"] == "m1"


def test_nor_does_another_stream_that_is_chosen(client: Client) -> None:
    form, sessions = _form(), [_session("m1", "one"), _session("m2", "other")]
    now = Snapshot(streams=[*_rig("one"), *_rig("other")], sessions=sessions)
    form.update(now)
    _choose(client, SESSION, "m1")
    _choose(client, "Kinematics stream", "one-kinematics")
    _choose(client, "Neural stream", "other")
    form.update(now)
    asked = form._request()
    assert (asked["session"], asked["kinematics"]["name"], asked["neural"]["name"]) == ("m1", "one-kinematics", "other")


def test_no_session_is_a_choice_too(client: Client) -> None:
    form = _form()
    form.update(Snapshot(streams=_rig("one"), sessions=[_session("m1", "one")]))
    assert form._request()["session"] == "m1"
    _choose(client, SESSION, "no session")
    sessions = [_session("m1", "one"), _session("m2", "two")]
    form.update(Snapshot(streams=_rig("one"), sessions=sessions))
    assert form._request()["session"] is None


def test_untouched_fields_follow_the_stream(client: Client) -> None:
    form = _form(neural="one")
    sessions = [_session("m1", "one")]
    form.update(Snapshot(streams=_rig("other"), sessions=sessions))
    form.update(Snapshot(streams=[*_rig("one"), *_rig("other")], sessions=sessions))
    asked = form._request()
    assert (asked["session"], asked["kinematics"]["name"], asked["neural"]["name"]) == ("m1", "one-kinematics", "one")
    _choose(client, "Neural stream", "other")
    asked = form._request()
    assert (asked["session"], asked["kinematics"]["name"]) == (None, "other-kinematics")


def test_a_stream_that_has_gone_is_not_replaced_by_another(client: Client) -> None:
    form, both = _form(), Snapshot(streams=[*_rig("one"), *_rig("other")])
    form.update(both)
    _choose(client, "Neural stream", "one")
    form.update(Snapshot(streams=_rig("other")))
    with pytest.raises(RefusedError, match="Neural stream: what was chosen is not there any more; choose one"):
        form._request()
    form.update(both)
    assert form._request()["neural"]["name"] == "one"


@pytest.mark.parametrize("wanted", ["", "r1"])
def test_nor_is_a_recording(client: Client, wanted: str) -> None:
    form = _form(recording=wanted)
    form.update(Snapshot(recordings=[_recording("r1"), _recording("r2")]))
    form._source.set_value("recorded")
    _choose(client, "Recording", "r2")
    form.update(Snapshot(recordings=[_recording("r1")]))
    with pytest.raises(RefusedError, match="Recording: what was chosen"):
        form._request()


def test_nor_is_a_session(client: Client) -> None:
    form = _form(session="m1")
    form.update(Snapshot(streams=_rig("one"), sessions=[_session("m1", "one")]))
    assert form._request()["session"] == "m1"
    form.update(Snapshot(streams=_rig("one"), sessions=[_session("m2", "one")]))
    with pytest.raises(RefusedError, match=f"{SESSION}: what was chosen"):
        form._request()


def test_a_choice_is_what_the_user_saw_though_the_options_change_on_its_way(client: Client) -> None:
    form = _form(recording="r1")
    form.update(Snapshot(recordings=[_recording("r1"), _recording("r2")], sessions=[_session("m1", "s")]))
    recording, session = _field(client, "Recording"), _field(client, SESSION)
    answers = _answer(recording, "r2"), _answer(session, "m1")
    sessions = [_session("m0", "s"), _session("m1", "s", "running")]
    form.update(Snapshot(recordings=[_recording(f"r{n}") for n in (3, 1, 2)], sessions=sessions))
    _send(recording, answers[0])
    _send(session, answers[1])
    assert (form._request()["recording"], form._request()["session"]) == ("r2", "m1")


def test_what_is_gone_when_the_answer_comes_is_not_chosen(client: Client) -> None:
    field = Choice("Decoder", {"a": "A", "b": "B"}, "a")
    answer = _answer(field, "B")
    field.offer({"a": "A"})
    _send(field, answer)
    with pytest.raises(RefusedError, match="Decoder: what was chosen is not there any more"):
        field.required()
