"""XDF chunks as bytes, for who writes such files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import numpy.typing as npt

MAGIC = b"XDF:"
_FILE_HEADER, _STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _BOUNDARY, _FOOTER = 1, 2, 3, 4, 5, 6
_BOUNDARY_UUID = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
_STAMPED = 8
_DTYPES = {
    "float32": "<f4",
    "double64": "<f8",
    "int8": "<i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
}


def file_header(made: datetime) -> bytes:
    """The beginning of a file, with its first chunk."""
    info = Element("info")
    SubElement(info, "version").text = "1.0"
    SubElement(info, "datetime").text = made.isoformat(timespec="seconds")
    return MAGIC + _chunk(_FILE_HEADER, _xml(info))


def stream_header(number: int, xml: bytes) -> bytes:
    """What a stream is: the description of its outlet, whole."""
    return _chunk(_STREAM_HEADER, struct.pack("<I", number) + xml)


def samples(number: int, form: str, stamps: npt.NDArray[np.float64], values: npt.NDArray[np.generic]) -> bytes:
    """Numeric samples (n, C), each with its stamp as the sender gave it."""
    dtype = _DTYPES[form]
    rows = np.empty(len(stamps), [("stamped", "u1"), ("stamp", "<f8"), ("values", dtype, (values.shape[1],))])
    rows["stamped"], rows["stamp"], rows["values"] = _STAMPED, stamps, values
    return _samples(number, len(stamps), rows.tobytes())


def texts(number: int, stamps: Sequence[float], rows: Sequence[Sequence[str]]) -> bytes:
    """Samples of a stream of strings, with their stamps."""
    parts = []
    for stamp, row in zip(stamps, rows, strict=True):
        parts.append(struct.pack("<Bd", _STAMPED, stamp))
        for text in row:
            content = text.encode()
            parts.append(_length(len(content)) + content)
    return _samples(number, len(stamps), b"".join(parts))


def clock_offset(number: int, collected_at: float, offset_s: float) -> bytes:
    """A measured clock offset: what added to the sender's clock, as it stood at `collected_at`, gives the local one."""
    return _chunk(_CLOCK_OFFSET, struct.pack("<Idd", number, collected_at, offset_s))


def boundary() -> bytes:
    """A mark by which a reader finds its way again in a damaged file."""
    return _chunk(_BOUNDARY, _BOUNDARY_UUID)


@dataclass
class Tally:
    """What a footer says of a stream."""

    n_samples: int = 0
    first: float = 0.0
    last: float = 0.0
    offsets: list[tuple[float, float]] = field(default_factory=list)

    def add(self, n_samples: int, first: float, last: float) -> None:
        """Count samples."""
        if not n_samples:
            return
        if not self.n_samples:
            self.first = first
        self.n_samples += n_samples
        self.last = last


def footer(number: int, tally: Tally) -> bytes:
    """The end of a stream."""
    info = Element("info")
    SubElement(info, "first_timestamp").text = repr(float(tally.first))
    SubElement(info, "last_timestamp").text = repr(float(tally.last))
    SubElement(info, "sample_count").text = str(tally.n_samples)
    offsets = SubElement(info, "clock_offsets")
    for time, value in tally.offsets:
        offset = SubElement(offsets, "offset")
        SubElement(offset, "time").text = repr(float(time))
        SubElement(offset, "value").text = repr(float(value))
    return _chunk(_FOOTER, struct.pack("<I", number) + _xml(info))


def describe_stream(
    name: str,
    type_: str,
    form: str,
    channels: Sequence[tuple[str, str]],
    source_id: str,
    extra: dict[str, str] | None = None,
) -> bytes:
    """A stream header for what no outlet describes.

    Parameters
    ----------
    name, type_, form, source_id : str
        As in an LSL stream; the stream is irregular, so that readers leave its stamps as they are.
    channels : sequence of (label, unit)
    extra : dict, optional
        Further elements of the description, under ``bmi_decoder``.
    """
    info = Element("info")
    for tag, text in (
        ("name", name),
        ("type", type_),
        ("channel_count", str(len(channels))),
        ("nominal_srate", "0"),
        ("channel_format", form),
        ("source_id", source_id),
    ):
        SubElement(info, tag).text = text
    desc = SubElement(info, "desc")
    listed = SubElement(desc, "channels")
    for label, unit in channels:
        channel = SubElement(listed, "channel")
        SubElement(channel, "label").text = label
        SubElement(channel, "unit").text = unit
    if extra:
        own = SubElement(desc, "bmi_decoder")
        for tag, text in extra.items():
            SubElement(own, tag).text = text
    return _xml(info)


def _samples(number: int, n: int, rows: bytes) -> bytes:
    return _chunk(_SAMPLES, struct.pack("<I", number) + _length(n) + rows)


def _chunk(tag: int, content: bytes) -> bytes:
    return _length(len(content) + 2) + struct.pack("<H", tag) + content


def _length(n: int) -> bytes:
    if n < 1 << 8:
        return struct.pack("<BB", 1, n)
    return struct.pack("<BI", 4, n) if n < 1 << 32 else struct.pack("<BQ", 8, n)


def _xml(root: Element) -> bytes:
    return b'<?xml version="1.0"?>' + tostring(root, "utf-8")
