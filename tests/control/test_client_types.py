"""`ControlClient` has a method for every operation of the OpenAPI document, which gives what the document says."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter

from bmi_decoder.client import ControlClient
from tests.control.test_examples import OPERATIONS, answer_of

METHODS = {
    "upload_decoder": ControlClient.upload_decoder,
    "list_decoders": ControlClient.decoders,
    "get_decoder": ControlClient.decoder,
    "upload_recording": ControlClient.upload_recording,
    "list_recordings": ControlClient.recordings,
    "get_recording": ControlClient.recording,
    "create_session": ControlClient.create_session,
    "list_sessions": ControlClient.sessions,
    "get_session": ControlClient.session,
    "start_session": ControlClient.start_session,
    "stop_session": ControlClient.stop_session,
    "change_session": ControlClient.change_session,
    "rollback_session": ControlClient.roll_back_session,
    "list_revisions": ControlClient.revisions,
    "record_session": ControlClient.record_session,
    "look_at_recorder": ControlClient.recorder,
    "stop_recording": ControlClient.stop_recording,
    "list_streams": ControlClient.streams,
    "create_job": ControlClient.train,
    "list_jobs": ControlClient.jobs,
    "get_job": ControlClient.job,
    "cancel_job": ControlClient.cancel_job,
    "deploy_job": ControlClient.deploy_job,
    "discard_job": ControlClient.discard_job,
}
NOTHING_TYPED = {
    "healthz": ControlClient.healthy,
    "readyz": ControlClient.ready,
    "delete_decoder": ControlClient.delete_decoder,
    "download_decoder": ControlClient.download_decoder,
    "delete_recording": ControlClient.delete_recording,
    "download_recording": ControlClient.download_recording,
    "delete_session": ControlClient.delete_session,
    "disarm_recorder": ControlClient.disarm_recorder,
    "follow_events": ControlClient.events,
}
"""Methods that give a truth value, a file, events, or nothing."""


def test_every_operation_has_a_method() -> None:
    assert METHODS.keys() | NOTHING_TYPED.keys() | {"metrics"} == OPERATIONS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_types_are_those_of_the_document(name: str) -> None:
    given = TypeAdapter(get_type_hints(METHODS[name])["return"])
    wanted: dict[str, Any] = dict(answer_of(OPERATIONS[name])["content"]["application/json"]["schema"])
    schema = given.json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    if "$ref" in wanted:
        assert wanted["$ref"].endswith(f"/{schema['title']}")
    else:
        wanted.pop("title", None)
        assert {key: schema[key] for key in wanted} == wanted
