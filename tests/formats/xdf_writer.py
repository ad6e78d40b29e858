"""A minimal writer of XDF files, independent of pyxdf."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

FORMATS = {"float32": "<f4", "double64": "<f8", "int16": "<i2", "int32": "<i4"}


def stream(
    stream_id: int,
    name: str,
    kind: str,
    times: Sequence[float] | np.ndarray,
    values: Any,
    rate_hz: float,
    form: str = "float32",
    labels: Sequence[tuple[str, str]] = (),
    offsets: Sequence[tuple[float, float]] = (),
    desc: str = "",
    per_chunk: int = 16,
) -> bytes:
    """Header, samples, clock offsets and footer of one stream; times are stamps of the sender."""
    n_channels = 1 if form == "string" else np.asarray(values).shape[1]
    channels = "".join(f"<channel><label>{a}</label><unit>{b}</unit></channel>" for a, b in labels)
    xml = (
        f"<?xml version='1.0'?><info><name>{name}</name><type>{kind}</type><channel_count>{n_channels}</channel_count>"
        f"<nominal_srate>{rate_hz}</nominal_srate><channel_format>{form}</channel_format>"
        f"<desc><channels>{channels}</channels>{desc}</desc></info>"
    )
    number = struct.pack("<I", stream_id)
    parts = [chunk(2, number + xml.encode())]
    for start in range(0, len(times), per_chunk):
        samples = []
        for time, value in zip(times[start : start + per_chunk], values[start : start + per_chunk], strict=True):
            if form == "string":
                text = value.encode()
                content = b"\x01" + bytes([len(text)]) + text
            else:
                content = np.asarray(value, dtype=FORMATS[form]).tobytes()
            samples.append(b"\x08" + struct.pack("<d", time) + content)
        parts.append(chunk(3, number + b"\x04" + struct.pack("<I", len(samples)) + b"".join(samples)))
    parts += [chunk(4, number + struct.pack("<dd", *offset)) for offset in offsets]
    parts.append(chunk(6, number + b"<?xml version='1.0'?><info></info>"))
    return b"".join(parts)


def chunk(tag: int, content: bytes) -> bytes:
    return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content


def write_xdf(path: Path, *streams: bytes) -> Path:
    header = chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")
    path.write_bytes(b"XDF:" + header + b"".join(streams))
    return path
