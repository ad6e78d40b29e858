import io
import itertools
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_npz, read_provenance, write_npz
from bmi_decoder.recording import Output, Recording

TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    edges = np.cumsum([0, *lengths]).tolist()
    n_channels, n_outputs = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    dtype = draw(st.sampled_from(["u1", "u2", "i4", "u8"]))
    top = min(np.iinfo(dtype).max, 2**53)
    return Recording(
        draw(arrays(dtype, (edges[-1], n_channels), elements=st.integers(0, top))),
        draw(arrays("f8", (edges[-1], n_outputs), elements=st.floats(allow_nan=False, allow_infinity=False))),
        tuple(Output(draw(TEXT), draw(TEXT)) for _ in range(n_outputs)),
        draw(st.floats(1e-6, 10)),
        t0=draw(st.floats(-1e9, 1e9)),
        segments=tuple(itertools.pairwise(edges)),
        channels=tuple(draw(TEXT) for _ in range(n_channels)),
        source=draw(TEXT),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(recording=recordings(), provenance=st.none() | st.dictionaries(TEXT, JSON, max_size=3))
def test_nothing_is_lost(recording: Recording, provenance: dict[str, Any] | None, tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    write_npz(recording, path, provenance)
    back = read_npz(path)
    assert back.counts.dtype == recording.counts.dtype
    assert back.counts.tobytes() == recording.counts.tobytes()
    assert back.kinematics.tobytes() == recording.kinematics.tobytes()
    for field in ("outputs", "bin_s", "t0", "segments", "channels", "source"):
        assert getattr(back, field) == getattr(recording, field)
    assert back.fingerprint() == recording.fingerprint()
    assert read_provenance(path) == provenance


def test_numpy_reads_the_arrays_without_us(samples: dict[str, Path], recording: Recording) -> None:
    with np.load(samples["npz"], allow_pickle=False) as archive:
        assert np.array_equal(archive["counts"], recording.counts)
        assert np.array_equal(archive["kinematics"], recording.kinematics)
        assert archive["segments"].tolist() == [[0, 17], [17, 40]]
        assert json.loads(str(archive["header"]))["bin_s"] == 0.02


def test_the_same_recording_gives_the_same_bytes(recording: Recording, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_npz(recording, tmp_path / name, {"seed": 1})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_name_is_used_as_given(recording: Recording, tmp_path: Path) -> None:
    write_npz(recording, str(tmp_path / "plain"))
    assert [file.name for file in tmp_path.iterdir()] == ["plain"]


def test_a_failed_write_leaves_the_old_file(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.npz"
    write_npz(recording, path)
    before = path.read_bytes()

    def full(file: io.BufferedWriter, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(InputError, match=r"r.npz: cannot be written \(No space left on device\)"):
        write_npz(replace(recording, t0=1.0), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["r.npz"]


def test_what_cannot_be_written_is_refused(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_npz(recording, tmp_path / "no" / "folder.npz")
    for wrong in ({"seed": np.int64(3)}, {"rate": float("nan")}):
        with pytest.raises(InputError, match="valid JSON"):
            write_npz(recording, tmp_path / "r.npz", wrong)
    assert not list(tmp_path.iterdir())


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _header(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        header = json.loads(str(np.load(io.BytesIO(members["header.npy"]))))
        members["header.npy"] = _npy(np.array(json.dumps(header | changes)))

    return change


def _claim(members: dict[str, bytes]) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<i8", "fortran_order": False, "shape": (2**40, 3)})
    members["counts.npy"] = file.getvalue() + bytes(24)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.pop("counts.npy"), "array 'counts' is missing"),
        (lambda m: m.pop("header.npy"), "array 'header' is missing"),
        (lambda m: m.update({"counts.npy": _npy(np.zeros((9, 3), "u1"))}), "9 bins of counts but 40"),
        (lambda m: m.update({"counts.npy": _npy(np.zeros((40, 3)))}), "counts must be integers"),
        (lambda m: m.update({"counts.npy": _npy(-np.ones((40, 3), "i2"))}), "negative, got -1 at bin 0"),
        (lambda m: m.update({"counts.npy": _npy(np.array([[None]], object))}), "object of shape"),
        (lambda m: m.update({"counts.npy": _npy(np.zeros(40, "u1"))}), "non-empty"),
        (lambda m: m.update({"kinematics.npy": _npy(np.full((40, 2), np.nan))}), "must be finite"),
        (lambda m: m.update({"segments.npy": _npy(np.array([[0, 5]]))}), "must tile 0:40"),
        (lambda m: m.update({"segments.npy": _npy(np.array([0.0, 40.0]))}), "segments must be"),
        (lambda m: m.update({"header.npy": _npy(np.array("{"))}), "the header is not JSON"),
        (lambda m: m.update({"header.npy": _npy(np.array("[" * 100_000))}), "the header is not JSON"),
        (lambda m: m.update({"header.npy": _npy(np.arange(3))}), "header must be one JSON text"),
        (lambda m: m.update({"counts.npy": m["counts.npy"][:-1]}), "holds 119 bytes"),
        (lambda m: m.update({"counts.npy": b"\x93NUMPY\x09\x00"}), r"\.npy version \(9, 0\)"),
        (lambda m: m.update({"counts.npy": m["counts.npy"].replace(b"(40, 3), }  ", b"(40L, 3L), }")}), "Python 2"),
        (_claim, "holds 24 bytes, which are not int64 of shape"),
        (_header(format="other"), "not a bmi-decoder recording"),
        (_header(version=2), "version 2, this program reads 1; update"),
        (_header(version="2" * 5000), "version .{,99}, this program reads 1; update"),
        (_header(bin_s="wide"), "'bin_s' is missing or of the wrong type"),
        (_header(t0=None), "'t0' is missing or of the wrong type"),
        (_header(outputs=[["x"]]), "'outputs' is missing or of the wrong type"),
        (_header(channels=[1, 2, 3]), "'channels' is missing or of the wrong type"),
        (_header(channels=["a"]), "3 channels but 1 labels"),
        (_header(bin_s=-1.0), "bin width must be a positive"),
    ],
)
def test_a_malformed_file_is_refused(
    change: Callable[[dict[str, bytes]], None], reason: str, samples: dict[str, Path]
) -> None:
    path = samples["npz"]
    _rewrite(path, change)
    with pytest.raises(InputError, match=f"recording.npz: .*{reason}"):
        read_npz(path)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_a_truncated_file_is_refused(kept: float, samples: dict[str, Path]) -> None:
    path = samples["npz"]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_npz(path)


def test_the_size_limit_counts_all_arrays(samples: dict[str, Path]) -> None:
    with zipfile.ZipFile(samples["npz"]) as archive:
        size = sum(info.file_size for info in archive.infolist())
    assert read_npz(samples["npz"], max_bytes=size).n_bins == 40
    with pytest.raises(InputError, match=f"declare {size} bytes, allowed are {size - 1}"):
        read_npz(samples["npz"], max_bytes=size - 1)


def test_a_bomb_with_a_false_size_is_not_unpacked(samples: dict[str, Path]) -> None:
    path = samples["npz"]
    _rewrite(path, lambda members: members.update({"counts.npy": members["counts.npy"] + bytes(2**27)}))
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("counts.npy")
    true, false = info.file_size.to_bytes(4, "little"), (info.file_size - 2**27).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(true, false))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="damaged"):
            read_npz(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("claimed", [1 << 31, (1 << 32) - 2])
def test_a_size_that_the_file_cannot_hold_is_not_asked_for(claimed: int, samples: dict[str, Path]) -> None:
    """Python reads what is stored as it is in one go, and takes all of that memory first."""
    path = samples["npz"]
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    size = len(members["counts.npy"]).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, claimed.to_bytes(4, "little")))
    with pytest.raises(InputError, match="an array is said to be larger than the file can hold"):
        read_npz(path)


def test_a_pickle_is_never_loaded(samples: dict[str, Path], tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    _rewrite(samples["npz"], lambda m: m.update({"counts.npy": _npy(np.array([[Trap()]], object))}))
    with pytest.raises(InputError):
        read_npz(samples["npz"])
    assert not (tmp_path / "sprung").exists()
