"""The MATLAB v5 parser against scipy's, and against files that scipy's cannot take."""

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.io import loadmat, savemat

from bmi_decoder.errors import InputError
from bmi_decoder.formats.mat5 import Mat5File

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"]
SHAPES = array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=6)
MATRICES = st.sampled_from(TYPES).flatmap(lambda dtype: arrays(dtype, SHAPES))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(matrix=MATRICES, compressed=st.booleans(), name=st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True))
def test_reads_what_scipy_reads(matrix: np.ndarray, compressed: bool, name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.mat"
    savemat(path, {name: matrix, "other_one": np.ones(3)}, do_compression=compressed)
    file, reference = Mat5File(path), loadmat(path)[name]
    assert sorted(file.variables) == sorted([name, "other_one"])
    values = file.read(name)
    assert values.shape == reference.shape
    assert values.dtype.newbyteorder("=") == reference.dtype.newbyteorder("=")
    assert values.tobytes() == reference.tobytes()


def test_the_real_session_is_read_as_scipy_reads_it(data_dir: Path) -> None:
    path = data_dir / "stevenson_m1" / "stevenson_m1_dev.mat"
    file, reference = Mat5File(path), loadmat(path)
    assert set(file.variables) == {name for name in reference if not name.startswith("__")}
    for name in file.variables:
        np.testing.assert_array_equal(file.read(name), reference[name])


def _element(code: int, payload: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", code, len(payload)) + payload + bytes(-len(payload) % 8)


def _file(*elements: bytes, order: str = "<") -> bytes:
    return (
        b"MATLAB 5.0".ljust(124)
        + struct.pack(f"{order}H", 0x100)
        + {"<": b"IM", ">": b"MI"}[order]
        + b"".join(elements)
    )


def _matrix(shape: tuple[int, ...], numbers: bytes, code: int = 9, order: str = "<") -> bytes:
    flags = _element(6, struct.pack(f"{order}II", 6, 0), order)
    dims = _element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    return _element(14, flags + dims + _element(1, b"x", order) + _element(code, numbers, order), order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order: str, tmp_path: Path) -> None:
    numbers = np.arange(6, dtype=f"{order}i2")
    (tmp_path / "m.mat").write_bytes(_file(_matrix((2, 3), numbers.tobytes(), 3, order), order=order))
    values = Mat5File(tmp_path / "m.mat").read("x")
    assert values.dtype == np.float64
    assert values.tolist() == [[0, 2, 4], [1, 3, 5]]


def test_an_unknown_type_code_is_refused(tmp_path: Path) -> None:
    # scipy 1.17 dies of a segmentation fault on this file.
    (tmp_path / "m.mat").write_bytes(_file(_matrix((1, 2), bytes(16), code=1033)))
    with pytest.raises(InputError, match=r"m.mat: .* damaged .*x does not hold 2 numbers"):
        Mat5File(tmp_path / "m.mat").read("x")


@pytest.mark.parametrize("shape", [(1, 3), (-1, -2), (2**31 - 1, 2**31 - 1)])
def test_a_shape_that_does_not_fit_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "m.mat").write_bytes(_file(_matrix(shape, bytes(16))))
    with pytest.raises(InputError, match=r"does not hold 3 numbers|dimensions \(-1, -2\)|declares"):
        Mat5File(tmp_path / "m.mat").read("x")


@pytest.mark.parametrize("size", [8 + 8 + 3, 8 + 16 + 8 + 3, 8 + 16 + 16 + 4])
def test_a_matrix_that_ends_before_its_numbers_is_refused(size: int, tmp_path: Path) -> None:
    """In its flags, its dimensions, its name."""
    path = tmp_path / "x.mat"
    whole = zlib.compress(_matrix((2, 2), bytes(32))[:size])
    path.write_bytes(_file(struct.pack("<II", 15, len(whole)) + whole))
    with pytest.raises(InputError, match=r"x\.mat: the MATLAB file is damaged or cut short"):
        Mat5File(path)


def test_whole_numbers_that_are_stored_as_others_are_refused(tmp_path: Path) -> None:
    uint8 = _matrix((1, 2), struct.pack("<2d", np.nan, 1e300)).replace(
        struct.pack("<II", 6, 0), struct.pack("<II", 9, 0)
    )
    (tmp_path / "m.mat").write_bytes(_file(uint8))
    with pytest.raises(InputError, match="x is of whole numbers, but stored as others"):
        Mat5File(tmp_path / "m.mat").read("x")


def test_numbers_that_are_stored_in_a_wider_type_than_their_own_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.mat"
    single = _matrix((1, 2), struct.pack("<2d", 1e300, 2.0)).replace(struct.pack("<II", 6, 0), struct.pack("<II", 7, 0))
    path.write_bytes(_file(single))
    with pytest.raises(InputError, match="x is of float32, but stored as float64"):
        Mat5File(path).read("x")


def test_a_bomb_is_not_decompressed(tmp_path: Path) -> None:
    bomb = zlib.compress(_matrix((1, 2), bytes(16)) + bytes(2**27), 9)
    (tmp_path / "m.mat").write_bytes(_file(struct.pack("<II", 15, len(bomb)) + bomb))
    tracemalloc.start()
    try:
        assert Mat5File(tmp_path / "m.mat").read("x").tolist() == [[0, 0]]
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_a_matrix_over_the_limit_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "m.mat", {"x": np.zeros((100, 10))}, do_compression=True)
    file = Mat5File(tmp_path / "m.mat")
    assert file.read("x", max_bytes=8000).shape == (100, 10)
    with pytest.raises(InputError, match="x declares 8000 bytes, allowed are 7999"):
        file.read("x", max_bytes=7999)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("text", "char"), ({"a": 1}, "struct"), (np.array([1, "a"], object), "cell"), (1j, "complex")],
)
def test_other_kinds_are_listed_but_not_read(value: object, kind: str, tmp_path: Path) -> None:
    savemat(tmp_path / "m.mat", {"x": value})
    with pytest.raises(InputError, match=f"x must be a matrix of real numbers, got {kind}"):
        Mat5File(tmp_path / "m.mat").read("x")


def test_a_flipped_bit_in_compressed_numbers_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m.mat"
    savemat(path, {"x": np.random.default_rng(0).standard_normal((50, 50))}, do_compression=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        Mat5File(path).read("x")
