"""The chunks of an XDF file, looked at before any of them is believed."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from bmi_decoder.errors import InputError

MAX_BYTES = 4 * 2**30
_MAGIC = b"XDF:"
_LENGTHS = {1: "<B", 4: "<I", 8: "<Q"}
_SAMPLE_BYTES = {"int8": 1, "int16": 2, "int32": 4, "int64": 8, "float32": 4, "double64": 8, "string": 2}
_STREAM_HEADER, _SAMPLES = 2, 3
_OF_STREAM = (2, 3, 4, 6)
_MAX_CHANNELS = 1 << 16
_MAX_HEADER_BYTES = 16 * 2**20


def whole_chunks(content: bytes, path: Path) -> int:
    """Where the last whole chunk of a file ends.

    A recorder that is killed leaves a file that ends inside a chunk. What it holds before that is good, but a
    parser that goes on to the end takes the rest of a sample for a whole one.

    Parameters
    ----------
    content : bytes
        The file.
    path : Path
        Its name, for error messages.

    Returns
    -------
    int
        Number of bytes up to there, at most ``len(content)``.

    Raises
    ------
    InputError
        If it is not XDF, a chunk does not hold what it says it holds, or a description has an XML entity.

    Notes
    -----
    https://github.com/sccn/xdf/wiki/Specifications
    """
    if not content.startswith(_MAGIC):
        raise InputError(f"{path}: not an XDF file (it must begin with 'XDF:')")
    at = len(_MAGIC)
    bytes_per_sample: dict[int, int] = {}
    while at < len(content):
        length, start = _length(content, at, path)
        if start is None or start + length > len(content):
            break
        if length < 2:
            raise InputError(f"{path}: the chunk at byte {at} is too short to be one; the file is damaged")
        _check(content, start, length, bytes_per_sample, path)
        at = start + length
    return at


def cut_to_whole_chunks(path: Path) -> int:
    """Cut off what a killed recorder has left behind the last whole chunk; returns how many bytes that was.

    Raises
    ------
    InputError
        If it is no XDF file, or cannot be written.
    """
    try:
        with path.open("r+b") as file:
            content = file.read()
            end = whole_chunks(content, path)
            file.truncate(end)
    except OSError as error:
        raise InputError(f"{path}: cannot be repaired: {error.strerror}") from None
    return len(content) - end


def _length(content: bytes, at: int, path: Path) -> tuple[int, int | None]:
    """Length of the field at a byte, and where its content begins; None if the file ends before that."""
    layout = _LENGTHS.get(content[at])
    if layout is None:
        raise InputError(f"{path}: no chunk begins at byte {at}; the file is damaged, copy it again")
    start = at + 1 + struct.calcsize(layout)
    if start > len(content):
        return 0, None
    return struct.unpack_from(layout, content, at + 1)[0], start


def _check(content: bytes, start: int, length: int, bytes_per_sample: dict[int, int], path: Path) -> None:
    tag = struct.unpack_from("<H", content, start)[0]
    if tag not in _OF_STREAM:
        return
    body, end = start + 6, start + length
    if body > end:
        raise InputError(f"{path}: the chunk before byte {end} names no stream; the file is damaged")
    stream = struct.unpack_from("<I", content, start + 2)[0]
    if tag == _STREAM_HEADER:
        if stream in bytes_per_sample:
            raise InputError(f"{path}: stream {stream} is described twice; the file is damaged")
        bytes_per_sample[stream] = _bytes_per_sample(content[body:end], stream, path)
    elif stream not in bytes_per_sample:
        raise InputError(f"{path}: the chunk before byte {end} is of stream {stream}, which is not described")
    elif tag == _SAMPLES:
        n_samples, first = _length(content, body, path) if body < end else (0, None)
        if first is None or n_samples * bytes_per_sample[stream] > end - first:
            raise InputError(
                f"{path}: the chunk before byte {end} is too short for the {n_samples} samples of stream {stream} "
                "that it declares; the file is damaged"
            )


def _bytes_per_sample(header: bytes, stream: int, path: Path) -> int:
    """Fewest bytes that a sample takes: one that says whether it has a stamp, and its values."""
    if len(header) > _MAX_HEADER_BYTES or b"<!" in header.replace(b"<!--", b""):
        raise InputError(f"{path}: the description of stream {stream} is too long or declares XML entities")
    counts = re.findall(rb"<channel_count>\s*(\d{1,9})\s*</channel_count>", header)
    kinds = re.findall(rb"<channel_format>\s*(\w+)\s*</channel_format>", header)
    if len(counts) != 1 or len(kinds) != 1 or kinds[0].decode() not in _SAMPLE_BYTES:
        raise InputError(f"{path}: stream {stream} must declare one channel_count and one known channel_format")
    n_channels = int(counts[0])
    if not 1 <= n_channels <= _MAX_CHANNELS:
        raise InputError(f"{path}: stream {stream} must have 1 to {_MAX_CHANNELS} channels, got {n_channels}")
    return 1 + n_channels * _SAMPLE_BYTES[kinds[0].decode()]
