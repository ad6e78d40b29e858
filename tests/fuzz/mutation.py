"""Makes bad input of good input: bytes, JSON, and members of zip files."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

_WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
_TEXTS = (
    "", "0", "-1", "1e308", "-0.0", "nan", "inf", "9" * 30, "../" * 8 + "etc/passwd", "/etc/passwd", "\0", "\ud800",
    "\U0001f600", "a" * 5000, "%s%n", "${jndi:x}", "<!DOCTYPE a [<!ENTITY b 'c'>]>", "&x;", "tcp://[::1]:99999", "\n",
)  # fmt: skip
_NUMBERS = (
    0,
    -1,
    1,
    2,
    255,
    256,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32,
    2**53,
    2**63 - 1,
    2**63,
    2**64,
    10**400,
    -(2**63),
)
_SCALARS: tuple[Any, ...] = (None, True, False, 0.5, 1e-320, 1e308, float("nan"), float("inf"), *_NUMBERS, *_TEXTS)


def noise(rng: random.Random, most: int = 400) -> bytes:
    """Bytes at random."""
    return rng.randbytes(rng.randrange(most))


def change_bytes(rng: random.Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Change bytes in one to four ways; pieces of `others` may come in."""
    changed = bytearray(data)
    for _ in range(1 + min(rng.getrandbits(2), rng.getrandbits(2))):
        _change_once(rng, changed, others)
    return bytes(changed)


def _change_once(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if not data:
        data += noise(rng)
        return
    at = rng.randrange(len(data))
    way = rng.randrange(9)
    if way == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif way == 1:
        data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.getrandbits(8)))
    elif way == 2:
        del data[at:]
    elif way == 3:
        del data[at : at + rng.choice((1, 2, 4, 8, rng.randrange(1, 1 + len(data))))]
    elif way == 4:
        data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 64)))
    elif way == 5:
        data[at:at] = data[at : at + rng.randrange(1, 65)] * rng.choice((1, 2, 50))
    elif way == 6 and others:
        other = rng.choice(others)
        start = rng.randrange(1 + len(other))
        data[at : at + rng.randrange(65)] = other[start : start + rng.randrange(1, 400)]
    elif way == 7:
        _change_decimal(rng, data)
    else:
        _change_field(rng, data, at, len(data))


def _change_field(rng: random.Random, data: bytearray, at: int, size: int) -> None:
    """Another number in the place of a binary one: lengths, counts, offsets."""
    width = rng.choice((1, 2, 4, 8))
    at -= at % rng.choice((1, width))
    most = (1 << 8 * width) - 1
    former = int.from_bytes(data[at : at + width], "little")
    value = rng.choice(
        (
            0,
            1,
            most,
            most >> 1,
            (most >> 1) + 1,
            former + 1,
            former - 1,
            2 * former,
            size,
            1 << rng.randrange(8 * width),
        )
    )
    data[at : at + width] = struct.pack(rng.choice("<<<>") + _WIDTHS[width], value & most)


def _change_decimal(rng: random.Random, data: bytearray) -> None:
    """Another number in the place of one in writing."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if found:
        one = rng.choice(found)
        data[one.start() : one.end()] = str(rng.choice(_NUMBERS)).encode()


def change_json(rng: random.Random, value: Any) -> bytes:
    """A JSON text with one to three changes somewhere in it; now and then no JSON any more."""
    changed = json.loads(json.dumps(value))
    for _ in range(rng.randrange(1, 4)):
        changed = _change_value(rng, changed)
    text = json.dumps(changed, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")
    if rng.random() < 0.15:
        text = change_bytes(rng, text)
    return text


def _change_value(rng: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        way = rng.randrange(8)
        if way == 0:
            del value[key]
        elif way == 1:
            value[rng.choice(_TEXTS)] = value[key]
        elif way == 2:
            value[key] = _any_value(rng)
        else:
            value[key] = _change_value(rng, value[key])
        return value
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        way = rng.randrange(6)
        if way == 0:
            del value[at]
        elif way == 1:
            value[at:at] = [value[at]] * (2 if isinstance(value[at], list | dict) else rng.choice((1, 2, 1000)))
        elif way == 2:
            value.reverse()
        else:
            value[at] = _change_value(rng, value[at])
        return value
    if isinstance(value, int | float) and rng.random() < 0.5:
        return rng.choice((value + 1, value - 1, -value, value * 2, value // 3, str(value), [value]))
    return _any_value(rng)


def _any_value(rng: random.Random) -> Any:
    way = rng.randrange(12)
    if way == 0:
        return [rng.choice(_SCALARS) for _ in range(rng.randrange(4))]
    if way == 1:
        return {str(rng.choice(_TEXTS)): rng.choice(_SCALARS) for _ in range(rng.randrange(3))}
    if way == 2:
        deep: Any = 0
        for _ in range(rng.choice((3, 60, 400))):
            deep = [deep]
        return deep
    return rng.choice(_SCALARS)


def members_of(data: bytes) -> dict[str, bytes]:
    """Members of a zip file by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(rng: random.Random, members: Mapping[str, bytes]) -> bytes:
    """A zip file; now and then one that lies about the size of a member, or names one twice."""
    compression = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression, compresslevel=1) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, compression)
            if rng.random() < 0.005:
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, compression)
    data = buffer.getvalue()
    if rng.random() < 0.03:
        size = struct.pack("<I", len(rng.choice(list(members.values()))))
        data = data.replace(size, struct.pack("<I", rng.choice((0, 1, 1 << 20, 1 << 31, (1 << 32) - 1))))
    return data


def bomb(rng: random.Random) -> bytes:
    """Content that a zip file shrinks to a thousandth."""
    return bytes(rng.choice((1 << 16, 1 << 20, 1 << 22)))


def other_name(rng: random.Random, name: str) -> str:
    """Where a member of a zip file might want to go."""
    return rng.choice(
        ("../" + name, "/" + name, "a/" + name, name.upper(), name + "\0", "..\\" + name, "", "C:" + name)
    )
