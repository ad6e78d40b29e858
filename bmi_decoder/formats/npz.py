"""Our own file: a NumPy .npz archive that keeps a recording as it is."""

from __future__ import annotations

import io
import json
import math
import os
import reprlib
import secrets
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.opening import file_head, too_large
from bmi_decoder.recording import Output, Recording

FORMAT = "bmi-decoder recording"
VERSION = 1
MAX_BYTES = 4 * 2**30
MAX_HEADER_BYTES = 64 * 2**20
_MEMBERS = ("header", "counts", "kinematics", "segments")
# What zipfile, zlib and NumPy's header parser raise on files that are cut short or damaged.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError, EOFError, OSError,
    RuntimeError, ValueError, TypeError, IndexError, UserWarning,
)  # fmt: skip
_MOST_RATIO = 1040
"""Deflate shrinks nothing to less than 1/1032."""

_PARSERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def write_npz(recording: Recording, path: Path | str, provenance: Mapping[str, Any] | None = None) -> None:
    """Write a recording; `read_npz` gives it back bit for bit.

    The file appears under its name only when it is complete: it is written beside it and renamed. The same
    recording always gives the same bytes.

    Parameters
    ----------
    recording : Recording
        What to write.
    path : Path or str
        File to make or replace. The name is used as given.
    provenance : mapping, optional
        Where the recording came from, as a JSON object; `read_provenance` gives it back.

    Raises
    ------
    InputError
        If the file cannot be written, or a value has no place in JSON.
    """
    path = Path(path)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "outputs": [[output.name, output.unit] for output in recording.outputs],
        "bin_s": float(recording.bin_s),
        "t0": float(recording.t0),
        "channels": list(recording.labels),
        "source": recording.source,
        "provenance": None if provenance is None else dict(provenance),
    }
    try:
        text = json.dumps(header, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: provenance, names and times must be valid JSON ({error})") from error
    arrays = {
        "header": np.array(text),
        "counts": recording.counts,
        "kinematics": recording.kinematics,
        "segments": np.array(recording.spans, dtype=np.int64),
    }
    if recording.reaches is not None:
        arrays["reaches"] = np.array(recording.reaches, dtype=np.int64)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); check the folder and the space") from error
    finally:
        beside.unlink(missing_ok=True)


def read_npz(path: Path | str, max_bytes: int = MAX_BYTES) -> Recording:
    """Read a recording that `write_npz` wrote.

    Nothing in the file is executed, and nothing is decompressed before its declared size is known to fit.

    Parameters
    ----------
    path : Path or str
        The .npz file.
    max_bytes : int
        Most bytes that all arrays together may take.

    Raises
    ------
    InputError
        If the file is not such a recording, is damaged, or is larger than `max_bytes`.
    """
    path = Path(path)
    arrays = _read_arrays(path, _MEMBERS, max_bytes, optional=("reaches",))
    header = _parsed_header(arrays["header"], path)
    segments, reaches = (_ranges(arrays.get(name), name, path) for name in ("segments", "reaches"))
    if arrays["counts"].dtype.kind not in "iu" or arrays["kinematics"].dtype != np.float64:
        raise InputError(
            f"{path}: counts must be integers and kinematics float64, got {arrays['counts'].dtype} and "
            f"{arrays['kinematics'].dtype}"
        )
    try:
        return Recording(
            arrays["counts"],
            arrays["kinematics"],
            tuple(Output(name, unit) for name, unit in header["outputs"]),
            header["bin_s"],
            t0=header["t0"],
            segments=segments,
            reaches=reaches,
            channels=tuple(header["channels"]),
            source=header["source"],
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_provenance(path: Path | str) -> dict[str, Any] | None:
    """Read the provenance that was written with a recording; None if there is none.

    Raises
    ------
    InputError
        If the file is not a recording of ours or is damaged.
    """
    path = Path(path)
    header = _parsed_header(_read_arrays(path, ("header",), MAX_HEADER_BYTES)["header"], path)
    provenance: dict[str, Any] | None = header["provenance"]
    return provenance


def _ranges(values: npt.NDArray[Any] | None, name: str, path: Path) -> tuple[tuple[int, int], ...] | None:
    if values is None:
        return None
    if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind not in "iu":
        raise InputError(f"{path}: {name} must be ({name}, 2) integers, got {values.dtype} of shape {values.shape}")
    return tuple((int(start), int(stop)) for start, stop in values)


def _read_arrays(
    path: Path, names: tuple[str, ...], max_bytes: int, optional: tuple[str, ...] = ()
) -> dict[str, npt.NDArray[Any]]:
    file_head(path)
    try:
        held = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            missing = [name for name in names if f"{name}.npy" not in members]
            if missing:
                raise InputError(f"{path}: array {missing[0]!r} is missing; this .npz is not a {FORMAT}")
            names += tuple(name for name in optional if f"{name}.npy" in members)
            wanted = [members[f"{name}.npy"] for name in names]
            if any(info.file_size > _MOST_RATIO * info.compress_size or info.compress_size > held for info in wanted):
                raise InputError(f"{path}: an array is said to be larger than the file can hold; copy it again")
            declared = sum(info.file_size for info in wanted)
            if declared > max_bytes:
                raise InputError(
                    f"{path}: the arrays declare {declared} bytes, allowed are {max_bytes}; "
                    "cut the recording into parts"
                )
            return {name: _read_member(archive, info, path) for name, info in zip(names, wanted, strict=True)}
    except InputError:
        raise
    except MemoryError as error:
        raise too_large(path) from error
    except _DAMAGE as error:
        raise InputError(f"{path}: not an .npz archive, or damaged or cut short ({str(error)[:200]})") from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> npt.NDArray[Any]:
    with archive.open(info) as member:
        # With a length, no more than that is ever decompressed; the checksum is compared at the end.
        content = io.BytesIO(member.read(info.file_size))
    version = np.lib.format.read_magic(content)
    parse = _PARSERS.get(version)
    if parse is None:
        raise InputError(f"{path}: {info.filename} has .npy version {version}, known are {list(_PARSERS)}")
    # Headers of Python 2, which nobody writes any more, are read with a warning.
    with warnings.catch_warnings(action="error", category=UserWarning):
        shape, _, dtype = parse(content)
    declared = dtype.itemsize * math.prod(shape)
    held = len(content.getbuffer()) - content.tell()
    # NumPy allocates what the header claims before it reads: a small file could ask for all memory.
    if dtype.hasobject or min(shape, default=0) < 0 or declared != held:
        raise InputError(
            f"{path}: {info.filename} holds {held} bytes, which are not {dtype} of shape {shape}; "
            "write the recording again"
        )
    content.seek(0)
    return np.asarray(np.lib.format.read_array(content, allow_pickle=False))


def _parsed_header(array: npt.NDArray[Any], path: Path) -> dict[str, Any]:
    if array.dtype.kind != "U" or array.shape != ():
        raise InputError(f"{path}: header must be one JSON text, got {array.dtype} of shape {array.shape}")
    try:
        header = json.loads(str(array))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: the header is not JSON ({error})") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{path}: this .npz is not a {FORMAT}")
    if header.get("version") != VERSION:
        raise InputError(
            f"{path}: recording format version {reprlib.repr(header.get('version'))}, this program reads {VERSION}; "
            "update bmi-decoder"
        )
    valid: dict[str, Callable[[Any], bool]] = {
        "outputs": lambda value: isinstance(value, list) and all(_is_texts(pair, 2) for pair in value),
        "channels": _is_texts,
        "bin_s": _is_number,
        "t0": _is_number,
        "source": lambda value: isinstance(value, str),
        "provenance": lambda value: value is None or isinstance(value, dict),
    }
    for key, is_valid in valid.items():
        if key not in header or not is_valid(header[key]):
            raise InputError(f"{path}: header field {key!r} is missing or of the wrong type")
    return header


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and bool(np.isfinite(value))


def _is_texts(value: Any, length: int | None = None) -> bool:
    if not isinstance(value, list) or length not in (None, len(value)):
        return False
    return all(isinstance(text, str) for text in value)
