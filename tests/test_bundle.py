"""Bundles are read from anyone: what is not one gets a BundleError with a remedy, and nothing else happens."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmi_decoder import bundle as bundle_module
from bmi_decoder.bundle import MANIFEST, ONNX, PROGRAM, WEIGHTS, Bundle, parse_bundle, read_bundle, write_bundle
from bmi_decoder.config import BlockFilterSettings, InputFilterSettings, OutputFilterSettings
from bmi_decoder.errors import BmiError, BundleError, InputError
from bmi_decoder.machine.program import Program
from bmi_decoder.pipeline import Pipeline
from tests.support import bundle, manifest, smoothing_program, training_info

FILTERS = OutputFilterSettings(low_latency=BlockFilterSettings(cutoff_hz=10, width=8, order=1))
ENTRY = InputFilterSettings(cutoff_hz=20, width=8, order=1, variant="high_accuracy")


def written(made: Bundle, path: Path) -> bytes:
    write_bundle(made, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(bundle(ENTRY, FILTERS), tmp_path_factory.mktemp("bundle") / "b.bmi")


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def changed(data: bytes, change: Callable[[dict[str, Any]], None] | None = None, **replaced: bytes | None) -> bytes:
    """A bundle with other members and sha256 sums that agree, so that only the content can be found wrong."""
    members = members_of(data)
    names = {"program": PROGRAM, "weights": WEIGHTS, "onnx": ONNX}
    for key, content in replaced.items():
        if content is None:
            del members[names[key]]
        else:
            members[names[key]] = content
    text = json.loads(members.pop(MANIFEST))
    text["members"] = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    if change is not None:
        change(text)
    return zipped({MANIFEST: json.dumps(text).encode(), **members})


def assert_refused(data: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        parse_bundle(data, "b.bmi")
    text = str(caught.value)
    assert text.startswith("b.bmi"), "the error says which file"
    assert "\n" not in text, "errors are one line"
    assert len(text) < 600, "that can be read"


def test_round_trip(tmp_path: Path) -> None:
    made = bundle(ENTRY, FILTERS, metrics={"test": {"raw": {"r2": 0.5}}}, hyper_parameters={"hidden": 3, "x": None})
    write_bundle(made, tmp_path / "b.bmi")
    again = read_bundle(tmp_path / "b.bmi")
    assert again.manifest.model_copy(update={"members": {}}) == made.manifest
    assert (again.weights, again.onnx) == (made.weights, made.onnx)
    assert made.program is not None and again.program is not None
    assert again.program.to_bytes() == made.program.to_bytes()
    rows = np.random.default_rng(0).poisson(1.0, (60, 3))
    assert np.array_equal(Pipeline(again).run(rows), Pipeline(made).run(rows))


def test_equal_bundles_have_equal_bytes(tmp_path: Path) -> None:
    first = written(bundle(ENTRY, FILTERS), tmp_path / "a.bmi")
    assert written(bundle(ENTRY, FILTERS), tmp_path / "b.bmi") == first
    assert written(read_bundle(tmp_path / "a.bmi"), tmp_path / "c.bmi") == first, "also when read and written again"
    assert written(bundle(ENTRY), tmp_path / "d.bmi") != first


def test_a_bundle_without_a_program(tmp_path: Path) -> None:
    made = bundle()
    write_bundle(Bundle(made.manifest, None, b"w", b"o"), tmp_path / "b.bmi")
    assert read_bundle(tmp_path / "b.bmi").program is None


def test_the_file_holds_what_its_description_says(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == [MANIFEST, PROGRAM, ONNX, WEIGHTS]
        assert {info.date_time[0] for info in archive.infolist()} == {1980}, "no clock in it"
        text = json.loads(archive.read(MANIFEST))
        assert text["schema_version"] == 1
        for name, digest in text["members"].items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest


def test_writing_replaces_the_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sub" / "b.bmi"
    old = written(bundle(), path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(BmiError, match=r"cannot write .*b.bmi: No space left on device"):
        write_bundle(bundle(ENTRY), path)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == ["b.bmi"], "nothing half-written is left behind"
    assert path.stat().st_mode & 0o777 == 0o644


def test_where_nothing_can_be_written_the_error_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BmiError, match=r"cannot write .*b\.bmi: "):
        write_bundle(bundle(), tmp_path / "file" / "b.bmi")
    (tmp_path / "folder.bmi").mkdir()
    with pytest.raises(BmiError, match=r"cannot write .*folder\.bmi: Is a directory"):
        write_bundle(bundle(), tmp_path / "folder.bmi")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.bmi"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read bundle .*gone.bmi: No such file or directory"):
        read_bundle(tmp_path / "gone.bmi")
    with pytest.raises(BundleError, match=r"cannot read bundle .*: Is a directory"):
        read_bundle(tmp_path)


def test_a_file_that_is_too_large(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.bmi").write_bytes(data)
    monkeypatch.setattr(bundle_module, "MAX_BYTES", len(data) - 1)
    with pytest.raises(BundleError, match=f"has {len(data)} bytes, a bundle has at most {len(data) - 1}"):
        read_bundle(tmp_path / "b.bmi")


@pytest.mark.parametrize("content", [b"", b"x", b"not a zip file at all" * 100, b"PK\x03\x04" + bytes(1000), bytes(22)])
def test_what_is_no_zip(content: bytes) -> None:
    assert_refused(content, "is not a complete zip file .*copy it again or make it anew")


@settings(deadline=None, max_examples=200)
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_anywhere(data: bytes, share: float) -> None:
    assert_refused(data[: int(share * len(data))], "is not a complete zip file .*copy it again or make it anew")


def test_truncated_by_one_byte(data: bytes) -> None:
    assert_refused(data[:-1], "is not a complete zip file")


def test_a_directory_that_points_elsewhere(data: bytes) -> None:
    """Python's message holds what stands there instead of the member's name."""
    at = data.index(b"PK\x03\x04") + 26
    lying = data[:at] + struct.pack("<H", len(data) // 2) + data[at + 2 :]
    assert_refused(lying, "is not a complete zip file")


@pytest.mark.parametrize("name", [PROGRAM, WEIGHTS, ONNX])
def test_a_member_that_does_not_match_its_sha256(data: bytes, name: str) -> None:
    members = members_of(data)
    members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])
    assert_refused(zipped(members), f"{name} does not match its sha256; the file is damaged, copy it again")


@pytest.mark.parametrize("version", [0, 2, 99, "1", None, [1], "\n", "9" * 5000])
def test_an_unknown_schema_version(data: bytes, version: Any) -> None:
    assert_refused(
        changed(data, lambda text: text.update(schema_version=version)),
        "has schema version .*, this version of bmi-decoder reads 1: update bmi-decoder, or train the decoder anew",
    )


def test_a_newer_schema_is_named_before_anything_else_is_judged(data: bytes) -> None:
    newer = changed(data, lambda text: text.update(schema_version=2, new_field=1))
    assert_refused(newer, "has schema version 2")


def unsafe() -> bytes:
    program = smoothing_program()
    program.instructions[-1, 1] = 1 << 40
    return program.to_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (unsafe(), r"instruction \d+ \(output\) reaches arena elements .* the bundle is damaged or not to be trusted"),
        (b"", "program has no readable layout"),
        (b"junk" * 100, "program"),
        (smoothing_program().to_bytes()[:-3], "program is not a safetensors file"),
    ],
)
def test_a_program_that_is_not_safe(data: bytes, content: bytes, message: str) -> None:
    assert_refused(changed(data, program=content), message)


def test_a_program_of_other_channels_or_outputs(data: bytes) -> None:
    assert_refused(
        changed(data, program=smoothing_program(4).to_bytes()),
        "program maps 4 channels to 2 outputs, the manifest says 3 to 2",
    )
    one = [{"name": "x", "unit": "m"}]
    assert_refused(changed(data, lambda text: text.update(outputs=one)), "the manifest says 3 to 1")


def test_other_channel_labels_than_channels(data: bytes) -> None:
    assert_refused(
        changed(data, lambda text: text.update(channels=["a", "b"])),
        "names 2 channels and says that there are 3; make it anew",
    )


def test_means_of_other_channels(data: bytes) -> None:
    assert_refused(
        changed(data, lambda text: text["training"].update(channel_means=[1.0, 2.0])),
        "has the means of 2 channels and says that there are 3; make it anew",
    )


def test_extra_members(data: bytes) -> None:
    members = members_of(data)
    for name in ("setup.py", "../weights.safetensors", "/etc/passwd", "weights.pkl"):
        assert_refused(zipped({**members, name: b"x"}), "has members that no bundle has: ")


def test_two_members_of_one_name(data: bytes) -> None:
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(WEIGHTS, b"others")
    assert_refused(buffer.getvalue(), "has two members of one name")


@pytest.mark.parametrize("name", [WEIGHTS, ONNX])
def test_a_missing_member(data: bytes, name: str) -> None:
    key = "weights" if name == WEIGHTS else "onnx"
    assert_refused(changed(data, **{key: None}), f"must hold {WEIGHTS} and {ONNX}")
    members = members_of(data)
    del members[name]
    assert_refused(zipped(members), "but its manifest lists")


def test_a_zip_that_is_no_bundle() -> None:
    assert_refused(zipped({}), "has no manifest.json: it is not a decoder bundle; make one with 'bmi-decoder train'")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_can_take_any_memory(data: bytes, compression: int) -> None:
    assert_refused(zipped(members_of(data), compression), "is compressed in a way that bundles are not")


def test_a_bundle_that_was_packed_again_is_still_one(data: bytes) -> None:
    assert parse_bundle(zipped(members_of(data), zipfile.ZIP_DEFLATED), "b.bmi").manifest.decoder == "smoothing"


def test_a_zip_bomb(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that unpacks to more than a bundle may have is not unpacked."""
    monkeypatch.setattr(bundle_module, "MAX_BYTES", 1 << 20)
    bomb = zipped({**members_of(data), WEIGHTS: bytes(2 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 20_000
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *args: pytest.fail("it was unpacked"))
    assert_refused(bomb, "unpacks to more than 1048576 bytes")


@pytest.mark.parametrize("claimed", [0, 1, 100, (1 << 20) - 1])
def test_a_zip_bomb_that_lies_about_its_size(data: bytes, claimed: int) -> None:
    """Both headers claim a small size; no more than that is unpacked, and the checksum does not fit."""
    honest = zipped({**members_of(data), WEIGHTS: bytes(8 << 20)}, zipfile.ZIP_DEFLATED)
    lying = honest.replace(struct.pack("<L", 8 << 20), struct.pack("<L", claimed))
    assert honest.count(struct.pack("<L", 8 << 20)) == 2
    assert_refused(lying, "is not a complete zip file|does not match its sha256")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.update(surprise=1), "field 'surprise': Extra inputs are not permitted"),
        (lambda text: text["training"].update(surprise=1), "field 'training.surprise'"),
        (lambda text: text.pop("decoder"), "field 'decoder': Field required"),
        (lambda text: text.update(n_channels=0), "field 'n_channels'"),
        (lambda text: text.update(n_channels=1 << 20), "field 'n_channels'"),
        (lambda text: text.update(n_channels="many"), "field 'n_channels'"),
        (lambda text: text.update(bin_s=0), "field 'bin_s'"),
        (lambda text: text.update(bin_s=-0.004), "field 'bin_s'"),
        (lambda text: text.update(bin_s=float("nan")), "manifest.json"),
        (lambda text: text.update(outputs=[{"name": "x"}]), r"field 'outputs.0.unit'"),
        (lambda text: text.update(input_filter={"cutoff_hz": -1}), "field 'input_filter.cutoff_hz'"),
        (lambda text: text.update(input_filter={"cutoff_hz": 5, "width": 1 << 30}), "field 'input_filter.width'"),
        (lambda text: text.update(output_filters={"low_latency": {"order": 2}}), "cutoff_hz': Field required"),
        (lambda text: text["training"].update(split=[0.5, 0.5]), "field 'training.split"),
        (lambda text: text["training"].update(split=[5, 5, 5]), "field 'training.split"),
        (lambda text: text.update(members={}), "but its manifest lists"),
        (lambda text: text.update({"a" * 5000: 1}), "Extra inputs are not permitted"),
        (lambda text: text["members"].update({"../../" * 1000: "0" * 64}), "but its manifest lists"),
        (lambda text: text["members"].update({"/etc/passwd": "0" * 64}), r"but its manifest lists .*/etc/passwd"),
    ],
)
def test_a_manifest_with_unknown_or_bad_fields(data: bytes, change: Any, message: str) -> None:
    assert_refused(changed(data, change), message)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"7", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": 1', b'"schema"']
)
def test_a_manifest_that_is_no_manifest(data: bytes, text: bytes) -> None:
    assert_refused(zipped({**members_of(data), MANIFEST: text}), "manifest.json is not JSON with a schema_version")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)
FIELDS = sorted(json.loads(manifest(input_filter=ENTRY, output_filters=FILTERS).model_dump_json()))


@settings(deadline=None, max_examples=200)
@given(field=st.sampled_from(FIELDS), value=JSON)
def test_any_manifest_is_refused_or_can_be_used(data: bytes, field: str, value: Any) -> None:
    try:
        made = parse_bundle(changed(data, lambda text: text.update({field: value})), "b.bmi")
    except BundleError:
        return
    try:
        assert np.isfinite(Pipeline(made).run(np.ones((3, 3)))).all()
    except InputError as error:
        assert "filter" in str(error)


@settings(deadline=None, max_examples=400)
@given(
    changes=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=6),
    compress=st.booleans(),
    end=st.booleans(),
)
def test_flipped_bytes_never_raise_anything_but_a_bundle_error(
    data: bytes, changes: list[tuple[int, int]], compress: bool, end: bool
) -> None:
    """Also in the directory at the end, which decides how everything else is read."""
    damaged = bytearray(zipped(members_of(data), zipfile.ZIP_DEFLATED) if compress else data)
    for at, value in changes:
        damaged[-1 - at % 300 if end else at % len(damaged)] = value
    try:
        made = parse_bundle(bytes(damaged), "b.bmi")
    except BundleError as error:
        assert "\n" not in str(error)
        return
    members = members_of(bytes(damaged))
    assert members[WEIGHTS] == made.weights == b"the weights"


def test_training_info_needs_a_split_that_is_one() -> None:
    assert training_info(split=(0.6, 0.2, 0.2)).split == (0.6, 0.2, 0.2)
    with pytest.raises(ValueError, match="sum to 1"):
        training_info(split=(0.6, 0.6, 0.2))


def test_a_program_is_read_as_data_only(data: bytes) -> None:
    """No pickle anywhere: a pickled object as a member is just wrong bytes."""
    pickled = b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."
    with pytest.raises(BundleError):
        Program.from_bytes(pickled)
    assert_refused(changed(data, program=pickled), "program")
    assert parse_bundle(changed(data, weights=pickled), "b.bmi").weights == pickled, "kept as bytes, never loaded"
