"""One binary message to the browser: a JSON header, and the arrays that it names as they are in memory."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_TYPES = {"f8": "<f8", "f4": "<f4", "u4": "<u4"}


def pack_frame(header: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A message: length of the header (u32), header, then the arrays; each part begins at a multiple of 8 bytes.

    The header gets the member ``arrays``: name, type (f8, f4 or u4, little-endian) and shape of each.
    """
    listed, parts = [], []
    for name, values in arrays.items():
        kind = f"{values.dtype.kind}{values.dtype.itemsize}"
        listed.append([name, kind, list(values.shape)])
        parts.append(_padded(np.ascontiguousarray(values, _TYPES[kind]).tobytes()))
    text = json.dumps(header | {"arrays": listed}, separators=(",", ":")).encode()
    return b"".join([_padded(struct.pack("<I", len(text)) + text), *parts])


def _padded(data: bytes) -> bytes:
    return data + b" " * (-len(data) % 8)
