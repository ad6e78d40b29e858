from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pylsl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmi_decoder.errors import InputError
from services.certify.finding import Finding
from services.certify.manifest import ExpectedStream, RigManifest, expect, read_manifest, write_manifest
from services.ingest.description import RigDescription
from services.ingest.found import FoundStream
from services.ingest.lsl import VisibleStream

GOOD = """
streams:
  - name: M1
    type: spikes
    channels: 2
    rate_hz: 250
    labels: [a, b]
    units: spikes
  - {name: M1-kinematics, type: kinematics}
limits:
  deadline_misses: 0.01
"""


def read(tmp_path: Path, text: str) -> RigManifest:
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    return read_manifest(path)


def test_what_is_left_out_is_not_compared(tmp_path: Path) -> None:
    manifest = read(tmp_path, GOOD)
    assert [stream.name for stream in manifest.streams] == ["M1", "M1-kinematics"]
    assert manifest.streams[0].labels == ("a", "b")
    assert manifest.streams[1].channels is None
    assert (manifest.limits.deadline_misses, manifest.limits.deadline) == (0.01, 1.0)
    assert manifest.streams[0].bytes_per_s == 250 * (2 * 4 + 9)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("channels: 2", "channel: 2", r"line 5: streams.0.channel: there is no such key; it may be name, type, chan"),
        ("channels: 2", "channels: two", r"line 5: streams.0.channels: .*valid integer"),
        ("channels: 2", "channels: 3", r"line 3: streams.0: 2 labels for 3 channels; give one for each, or none"),
        ("    type: spikes\n", "", r"line 3: streams.0.type: is missing; add it"),
        ("rate_hz: 250", "rate_hz: .nan", r"line 6: streams.0.rate_hz: "),
        ("rate_hz: 250", "rate_hz: 250\n    rate_hz: 500", r"line 7: the key 'rate_hz' stands there twice"),
        ("[a, b]", "[a, b", r"line 8: "),
        ("[a, b]", "&x [a, b]\n    format: *x", r"line 8: aliases are not taken here"),
        ("type: spikes", "type: !!timestamp spikes", r"line 4: tags are not taken here"),
        ("channels: 2", "channels: !!bool 2", r"line 5: tags are not taken here"),
        ("[a, b]", "[a, [[[[[[b]]]]]]]", r"line 7: nested too deeply"),
        ("units: spikes", "units: [spikes]", r"1 units for 2 channels"),
        ("M1-kinematics, type: kinematics", "M1, type: spikes", r"'M1' of type 'spikes' stands there twice"),
        ("deadline_misses: 0.01", "deadline_misses: 2", r"line 11: limits.deadline_misses: .*less than or equal to 1"),
        ("deadline_misses", "misses", r"line 11: limits.misses: there is no such key; it may be deadline, "),
        ("limits:", "limit:", r"limit: there is no such key; it may be streams, limits"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError, match=r"rig\.yaml.*" + said) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "a", "streams", "!!python/object:os.system {}", "\t", "{1: 2, [a]: 3}"])
def test_no_manifest(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"rig\.yaml"):
        read(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_manifest(tmp_path / "none.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_manifest(tmp_path / "binary")
    (tmp_path / "large").write_bytes(b" " * (2 << 20))
    with pytest.raises(InputError, match="more than"):
        read_manifest(tmp_path / "large")


@given(text=st.one_of(st.text(max_size=200), st.text("streams:-[]{}&*!|>'\"%@ \nab0,#", max_size=200)))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "rig.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        read_manifest(path)
    except InputError as error:
        assert str(path) in str(error)


def found(labels: tuple[str, ...] = (), units: tuple[str, ...] = (), **visible: Any) -> FoundStream:
    info = pylsl.StreamInfo("any", "spikes", 2, 250.0, "float32", "rig")
    there = VisibleStream("M1", "spikes", 2, 250.0, "rig", "host", "float32")
    return FoundStream(info, replace(there, **visible), RigDescription(), labels, units)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    name = 'M1: "x" #é'
    neural = found(("a", "b"), ("mV", "mV"), name=name)
    bare = found(name="M2", type="markers", n_channels=1, rate_hz=0.0, source_id="", channel_format="string")
    expected = [one for one in expect([neural, bare]) if isinstance(one, ExpectedStream)]
    write_manifest(tmp_path / "rig.yaml", expected)
    assert list(read_manifest(tmp_path / "rig.yaml").streams) == expected
    first, second = expected
    assert (first.name, first.units, first.labels, first.source_id) == (name, "mV", ("a", "b"), "rig")
    assert (second.rate_hz, second.format, second.labels, second.source_id) == (0.0, "string", None, None)


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (found(type=""), "its type is '': String should have at least 1 character"),
        (found(channel_format="undefined"), "its format is 'undefined': Input should be 'float32', "),
        (found(labels=("a", "b" * 257)), f"its labels is '{'b' * 40}': String should have at most 256 characters"),
        (found(source_id=""), "a newer one has its name, type and source_id ''"),
        (found(type="kinematics_estimate"), "it is what a session publishes, and none of the rig's"),
    ],
)
def test_what_no_manifest_can_hold_is_left_out(tmp_path: Path, stream: FoundStream, why: str) -> None:
    lost = Finding("M0", "found", "fail", "it is visible but does not answer", "is its rig alive?")
    first, other, finding = expect([found(source_id=""), lost, stream])
    assert isinstance(first, ExpectedStream) and other is lost
    assert isinstance(finding, Finding) and (finding.area, finding.verdict) == ("M1", "fail")
    assert f"left out of the manifest: {why}" in finding.found
    write_manifest(tmp_path / "rig.yaml", [first])
    assert read_manifest(tmp_path / "rig.yaml").streams == (first,)
