"""Settings that the command line, REST and the worker share: what is allowed, and that nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bmi_decoder.config import (
    BlockFilterSettings,
    InputFilterSettings,
    OutputFilterSettings,
    SessionSettings,
    Settings,
    SplitSettings,
    StreamSettings,
    WorkerSettings,
)
from bmi_decoder.rest_models import SessionChange
from bmi_decoder.wire import Variant

SESSION: dict[str, Any] = {"name": "m1", "stream": {"name": "M1"}, "decoder": "abc"}
BLOCK = BlockFilterSettings(cutoff_hz=6.25)


def refused(model: type[Settings], values: dict[str, Any], field: str, message: str = "validation error") -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        model.model_validate(values)
    assert field in {".".join(map(str, error["loc"])) for error in caught.value.errors()}


def test_defaults_of_a_session() -> None:
    session = SessionSettings.model_validate(SESSION)
    assert session.stream == StreamSettings(name="M1", type="spikes", source_id=None, search_timeout_s=60.0)
    assert session.output_filters is None, "those that were chosen on the decoder's validation data"
    assert (session.gap_policy, session.max_gap_s, session.endpoint) == ("hold", 1.0, "tcp://127.0.0.1:0")
    assert session.endpoint_is_loopback


def test_defaults_of_a_filter_are_the_papers() -> None:
    assert (BLOCK.order, BLOCK.width, BLOCK.boundary) == (4, 32, "odd")
    assert InputFilterSettings(cutoff_hz=5).variant == "low_latency"


@pytest.mark.parametrize("model", [SessionSettings, StreamSettings, BlockFilterSettings, WorkerSettings, SplitSettings])
def test_an_unknown_field_is_an_error(model: type[Settings]) -> None:
    refused(model, {"surprise": 1}, "surprise", "Extra inputs are not permitted")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        BLOCK.order = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("order", [1, 8], [0, 9, -1, 2.5, "two", None]),
        ("cutoff_hz", [1e-3, 500], [0, -1, float("nan"), float("inf"), "fast", None]),
        ("width", [4, 4096], [3, 4097, -32, 8.5, None]),
        ("boundary", ["odd", "constant", "gust"], ["even", "", None, 1]),
    ],
)
def test_limits_of_a_filter(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(BlockFilterSettings.model_validate({"cutoff_hz": 5, field: value}), field) == value
    for value in bad:
        refused(BlockFilterSettings, {"cutoff_hz": 5, field: value}, field)
    refused(InputFilterSettings, {"cutoff_hz": 5, "variant": "raw"}, "variant")
    refused(BlockFilterSettings, {}, "cutoff_hz")


def test_filters_are_published_in_a_fixed_order() -> None:
    both = OutputFilterSettings(high_accuracy=BLOCK, low_latency=BLOCK)
    assert both.variants == (Variant.raw, Variant.low_latency, Variant.high_accuracy)
    assert both.items() == [("low_latency", BLOCK), ("high_accuracy", BLOCK)]
    assert OutputFilterSettings(high_accuracy=BLOCK).variants == (Variant.raw, Variant.high_accuracy)
    assert OutputFilterSettings().variants == (Variant.raw,)
    assert OutputFilterSettings().items() == []


@pytest.mark.parametrize("name", ["m", "M1", "left_arm-2", "0", "a" * 64])
def test_names_of_sessions(name: str) -> None:
    assert SessionSettings.model_validate({**SESSION, "name": name}).name == name


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a/b", "../a", "a.b", "ä", "a\n", "a" * 65, None, 7])
def test_names_that_are_no_file_names_or_paths_are_refused(name: Any) -> None:
    refused(SessionSettings, {**SESSION, "name": name}, "name")


@pytest.mark.parametrize(
    ("endpoint", "loopback"),
    [
        ("tcp://127.0.0.1:0", True),
        ("tcp://127.0.0.1:5556", True),
        ("tcp://127.9.9.9:65535", True),
        ("tcp://[::1]:5556", True),
        ("tcp://0.0.0.0:5556", False),
        ("tcp://192.168.1.7:5556", False),
        ("tcp://[::]:5556", False),
    ],
)
def test_endpoints(endpoint: str, loopback: bool) -> None:
    session = SessionSettings.model_validate({**SESSION, "endpoint": endpoint})
    assert session.endpoint == endpoint
    assert session.endpoint_is_loopback == loopback
    assert session.encrypted == (not loopback)
    assert session.model_copy(update={"encryption": "curve"}).encrypted
    assert not session.model_copy(update={"encryption": "none"}).encrypted


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "5556",
        "127.0.0.1:5556",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:port",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:-1",
        "tcp://localhost:5556",
        "tcp://*:5556",
        "tcp://:5556",
        "tcp://127.0.0.1:5556/path",
        "tcp://127.0.0.1:5556?query",
        "tcp://127.0.0.1:5556#part",
        "tcp://user@127.0.0.1:5556",
        "tcp://[::1:5556",
        "ipc:///tmp/socket",
        "http://127.0.0.1:80",
        "inproc://a",
    ],
)
def test_endpoints_that_cannot_be_bound_are_refused(endpoint: str) -> None:
    refused(SessionSettings, {**SESSION, "endpoint": endpoint}, "endpoint", "must be tcp://ADDRESS:PORT")


@given(st.text(max_size=30))
def test_any_other_endpoint_is_accepted_or_refused_but_raises_nothing_else(text: str) -> None:
    for endpoint in (text, "tcp://" + text, f"tcp://127.0.0.1:{text}", f"tcp://{text}:5556"):
        try:
            session = SessionSettings.model_validate({**SESSION, "endpoint": endpoint})
        except ValidationError:
            continue
        assert isinstance(session.endpoint_is_loopback, bool)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("gap_policy", ["skip", "", None]),
        ("max_gap_s", [-0.1, float("inf"), None]),
        ("decoder", ["", "a" * 129, None]),
        ("stream", [None, {}, {"name": ""}, {"name": "a" * 257}, {"name": "M1", "type": ""}]),
        ("output_filters", [{"raw": {}}, {"low_latency": {"cutoff_hz": -1}}, []]),
    ],
)
def test_limits_of_a_session(field: str, bad: list[Any]) -> None:
    for value in bad:
        with pytest.raises(ValidationError) as caught:
            SessionSettings.model_validate({**SESSION, field: value})
        assert all(error["loc"][0] == field for error in caught.value.errors())


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_search_takes_some_time_or_for_ever(timeout: float) -> None:
    assert StreamSettings(name="M1", search_timeout_s=None).search_timeout_s is None
    refused(StreamSettings, {"name": "M1", "search_timeout_s": timeout}, "search_timeout_s")


def test_a_worker_needs_a_session_and_its_files() -> None:
    values = {"session": SESSION, "bundle": "a.bmi", "flight": "/dev/shm/m1"}
    worker = WorkerSettings.model_validate(values)
    assert (worker.revision, worker.heartbeat_s) == (1, 0.5)
    assert WorkerSettings.model_validate_json(worker.model_dump_json()) == worker
    refused(WorkerSettings, {**values, "revision": 0}, "revision")
    refused(WorkerSettings, {**values, "heartbeat_s": 0}, "heartbeat_s")
    refused(WorkerSettings, {"session": SESSION, "flight": "x"}, "bundle")


class TestSplit:
    @pytest.mark.parametrize(
        ("parts", "n_bins", "bounds"),
        [
            ((0.7, 0.1, 0.2), 1000, (700, 800)),
            ((0.7, 0.1, 0.2), 1001, (701, 801)),
            ((0.5, 0.25, 0.25), 6, (3, 5)),
            ((0.8, 0.1, 0.1), 15_536, (12_429, 13_983)),
        ],
    )
    def test_bounds(self, parts: tuple[float, float, float], n_bins: int, bounds: tuple[int, int]) -> None:
        train, validation, test = parts
        assert SplitSettings(train=train, validation=validation, test=test).bounds(n_bins) == bounds

    @pytest.mark.parametrize("parts", [(0.7, 0.1, 0.1), (0.7, 0.2, 0.2), (0.5, 0.5, 1e-3)])
    def test_parts_must_sum_to_one(self, parts: tuple[float, float, float]) -> None:
        values = dict(zip(("train", "validation", "test"), parts, strict=True))
        refused(SplitSettings, values, "", "the three parts must sum to 1, for example 0.7,0.1,0.2")

    @pytest.mark.parametrize("parts", [(1.0, 0.0, 0.0), (0.9, 0.2, -0.1), (float("nan"), 0.1, 0.2)])
    def test_every_part_has_some_share(self, parts: tuple[float, float, float]) -> None:
        with pytest.raises(ValidationError, match=r"greater than 0|less than 1|finite"):
            SplitSettings(train=parts[0], validation=parts[1], test=parts[2])

    def test_rounding_of_the_parts_is_forgiven(self) -> None:
        assert SplitSettings(train=1 / 3, validation=1 / 3, test=0.3333334).train == 1 / 3


def test_masked_channels_are_a_set_of_indices() -> None:
    assert SessionSettings.model_validate(SESSION).masked_channels == ()
    assert SessionSettings.model_validate(SESSION | {"masked_channels": [17, 3]}).masked_channels == (3, 17)
    refused(SessionSettings, SESSION | {"masked_channels": [3, 17, 3]}, "masked_channels", "channel 3 is named twice")
    refused(SessionSettings, SESSION | {"masked_channels": [-1]}, "masked_channels.0")
    refused(SessionSettings, SESSION | {"masked_channels": None}, "masked_channels")


def test_every_setting_but_the_name_can_be_changed() -> None:
    assert set(SessionChange.model_fields) == set(SessionSettings.model_fields) - {"name"}
