"""Recordings, in every format that is read."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.io import savemat

from bmi_decoder.bundle import read_bundle
from bmi_decoder.formats import (
    load_xdf,
    read_npz,
    read_nwb,
    read_odoherty,
    read_provenance,
    read_stevenson,
    read_trial_csv,
    read_xdf,
    write_npz,
)
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recorded_session import read_session
from bmi_decoder.recording import Output, Recording
from bmi_decoder.simulation import PopulationSettings, SubjectSettings, write_odoherty
from tests.control.support import write_linear_bundle
from tests.formats.nwb_writer import series, write_nwb
from tests.formats.recorded import write_recorded_session
from tests.formats.xdf_writer import stream, write_xdf
from tests.fuzz.mutation import bomb, change_bytes, change_json, members_of, noise, other_name, zipped
from tests.fuzz.target import Target

Change = Callable[[random.Random, bytes], bytes]


def _target(name: str, path: Path, valid: list[bytes], change: Change, read: Callable[[Path], object]) -> Target:
    def changed(rng: random.Random, data: bytes) -> bytes:
        way = rng.random()
        if way < 0.02:
            return data[: rng.randrange(130)] + noise(rng)
        return change_bytes(rng, data, valid) if way < 0.4 else change(rng, data)

    def attempt(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return Target(name, valid, changed, attempt)


def xdf(name: str, folder: Path) -> Target:
    """Recordings of LSL streams."""
    rng = np.random.default_rng(5)
    times = 0.01 * np.arange(24)
    counts, velocity = rng.poisson(1.0, (24, 3)), rng.standard_normal((24, 2))
    offsets = [(0.0, 0.5), (0.1, 0.5)]
    neural = stream(1, "Array", "spikes", times, counts, 100.0, labels=[(c, "x") for c in "abc"], offsets=offsets)
    hand = stream(2, "Hand", "kinematics", times, velocity, 100.0, "double64", offsets=offsets)
    events = stream(3, "log", "Markers", times[:3], ["a", "bc", ""], 0.0, "string")
    slow = stream(2, "Hand", "MoCap", times[::2], velocity[::2], 50.0, "int16", offsets=offsets)
    marks = stream(3, "marks", "Markers", times[:3], [[1], [2], [3]], 0.0, "int32")
    path = folder / "session.xdf"
    valid = [write_xdf(path, neural, hand, events).read_bytes(), write_xdf(path, neural, slow, marks).read_bytes()]

    def read(file: Path) -> object:
        for one in load_xdf(file).streams:
            assert one.describe() and one.spans is not None
        return read_xdf(file)

    return _target(name, path, valid, _changed_chunks, read)


def sessions(name: str, folder: Path) -> Target:
    """Recordings of a session of ours, which say how to decode it again."""
    bundle = write_linear_bundle(folder / "linear.bmi")
    path = write_recorded_session(folder, bundle, Pipeline(read_bundle(bundle)), n_bins=40)
    return _target(name, path, [path.read_bytes()], _changed_chunks, read_session)


def _chunks(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each chunk."""
    found, at = [], 4
    while at < len(data):
        width = data[at]
        length = int.from_bytes(data[at + 1 : at + 1 + width], "little")
        at += 1 + width
        found.append((struct.unpack_from("<H", data, at)[0], data[at + 2 : at + length]))
        at += length
    return found


def _changed_chunks(rng: random.Random, data: bytes) -> bytes:
    """Chunks in another order, of another kind, with another content or with a length that is none."""
    chunks = _chunks(data)
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(len(chunks))
        tag, content = chunks[at]
        way = rng.randrange(12)
        if way == 0 and len(chunks) > 1:
            del chunks[at]
        elif way == 1:
            chunks.insert(rng.randrange(len(chunks)), chunks[at])
        elif way == 2:
            rng.shuffle(chunks)
        elif way == 3:
            chunks[at] = (rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 65535)), content)
        elif way == 4:
            chunks[at] = (tag, rng.randbytes(4) + content[4:])
        elif way == 5 and tag == 3:
            width = rng.choice((1, 4, 8))
            count = rng.choice((0, 1, 255, 65535, (1 << 8 * width) - 1, 1 << 8 * width - 1)) & ((1 << 8 * width) - 1)
            chunks[at] = (tag, content[:4] + bytes([width]) + count.to_bytes(width, "little") + content[9:])
        elif way < 8 and tag == 3:
            chunks[at] = (tag, content[:9] + _changed_stamp(rng, content[9:]))
        elif way == 8 and tag == 4:
            chunks[at] = (tag, content[:4] + struct.pack("<dd", *(rng.choice(_TIMES) for _ in range(2))))
        elif tag in (1, 2, 6):
            chunks[at] = (tag, content[:4] + _changed_xml(rng, content[4:]))
        else:
            chunks[at] = (tag, content[:4] + change_bytes(rng, content[4:]))
    parts = [b"XDF:"]
    for tag, content in chunks:
        width = rng.choice((4, 4, 4, 8))
        length = len(content) + 2
        if rng.random() < 0.005:
            length = rng.choice((0, 1, 2, length - 1, length + 1, (1 << 8 * width) - 1, 1 << 31))
        parts.append(bytes([width]) + length.to_bytes(width, "little") + struct.pack("<H", tag) + content)
    return b"".join(parts)


_TIMES = (0.0, -1.0, 1e-300, 1e300, -1e300, float("nan"), float("inf"), 2e5, -2e5, 0.005, 1e18)
_TAGS = (
    b"channel_count",
    b"nominal_srate",
    b"channel_format",
    b"name",
    b"type",
    b"desc",
    b"channels",
    b"label",
    b"info",
)
_WORDS = (
    b"", b"0", b"-1", b"1e308", b"nan", b"inf", b"65536", b"999999999", b"int64", b"int8", b"string", b"spikes",
    b"x" * 3000, b"<a/>", b"<channel/>", b"&lt;", b"&#0;", b"<!ENTITY a 'b'>", b"]]>", b"\xff\xfe", b"<desc>" * 2000,
)  # fmt: skip


def _changed_xml(rng: random.Random, xml: bytes) -> bytes:
    if rng.random() < 0.4:
        return change_bytes(rng, xml)
    tag = rng.choice(_TAGS)
    start, stop = xml.find(b"<" + tag + b">"), xml.find(b"</" + tag + b">")
    if start < 0 or stop < 0:
        return change_bytes(rng, xml)
    return xml[: start + len(tag) + 2] + rng.choice(_WORDS) + xml[stop:]


def _changed_stamp(rng: random.Random, samples: bytes) -> bytes:
    changed = bytearray(samples)
    at = rng.randrange(max(1, len(changed) - 8))
    changed[at : at + 8] = struct.pack("<d", rng.choice(_TIMES))
    return bytes(changed)


def npz(name: str, folder: Path) -> Target:
    """Recordings of our own."""
    rng = np.random.default_rng(5)
    made = Recording(
        rng.poisson(1.0, (40, 3)), rng.standard_normal((40, 2)), (Output("x", "m/s"), Output("y", "m/s")), 0.02,
        t0=12.5, segments=((0, 17), (17, 40)), channels=("a1", "a2", "b1"), source="a test", reaches=((0, 9), (9, 40)),
    )  # fmt: skip
    path = folder / "recording.npz"
    write_npz(made, path, {"seed": 3})

    def change(rng: random.Random, data: bytes) -> bytes:
        members = members_of(data)
        member = rng.choice(list(members))
        way = rng.random()
        if way < 0.1:
            members[other_name(rng, member)] = members.pop(member)
        elif way < 0.12:
            members[member] = members[member][:128] + bomb(rng)
        elif way < 0.5:
            header = json.loads(str(np.load(io.BytesIO(members["header.npy"]))))
            text = change_json(rng, header).decode(errors="replace").rstrip("\0")
            buffer = io.BytesIO()
            np.save(buffer, np.array(text))
            members["header.npy"] = buffer.getvalue()
        else:
            head, body = members[member][:128], members[member][128:]
            if rng.random() < 0.6:
                head = change_bytes(
                    rng, head, [b"'descr': '|O'", b"(99999999999, 3)", b"True", b"<M8[s]", b"<U999999999"]
                )
            else:
                body = change_bytes(rng, body)
            members[member] = head + body
        return zipped(rng, members)

    return _target(name, path, [path.read_bytes()], change, lambda file: (read_npz(file), read_provenance(file)))


def stevenson(name: str, folder: Path) -> Target:
    """MATLAB v5 files, whose variables are compressed or not."""
    rng = np.random.default_rng(5)
    variables = {
        "spikes": rng.poisson(2.0, (3, 30)).astype(np.uint8),
        "handVel": np.vstack([rng.standard_normal((2, 30)), np.zeros((1, 30))]),
        "time": 7.0 + 0.05 * np.arange(30),
        "timeBase": 0.05,
    }
    path, valid = folder / "session.mat", []
    for compressed in (False, True):
        savemat(path, variables, do_compression=compressed)
        valid.append(path.read_bytes())
    plain = valid[0]

    def change(rng: random.Random, data: bytes) -> bytes:
        if data == plain:
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                at = 128 + 4 * rng.randrange((len(data) - 128) // 4)
                former = int.from_bytes(data[at : at + 4], "little")
                value = rng.choice(
                    (0, 1, former + 1, 2 * former, (1 << 32) - 1, 1 << 31, 14, 15, rng.randrange(20), 1 << 16)
                )
                changed[at : at + 4] = struct.pack("<I", value & 0xFFFFFFFF)
            return bytes(changed)
        parts, at = [data[:128]], 128
        while at < len(data):
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            content = zlib.decompress(data[at + 8 : at + 8 + size])
            if rng.random() < 0.4:
                content = content + bomb(rng) if rng.random() < 0.02 else change_bytes(rng, content)
            content = zlib.compress(content, 1)
            parts.append(struct.pack("<II", 15, len(content)) + content)
            at += 8 + size
        return b"".join(parts)

    return _target(name, path, valid, change, read_stevenson)


def odoherty(name: str, folder: Path) -> Target:
    """MATLAB v7.3 files."""
    path = folder / "indy.mat"
    write_odoherty(SubjectSettings(seed=3, population=PopulationSettings(n_channels=3)), 2.0, path, n_units=2)
    return _hdf5(name, path, read_odoherty)


def nwb(name: str, folder: Path) -> Target:
    """NWB files."""
    rng = np.random.default_rng(5)
    times = 0.01 * np.arange(120)
    velocity = series("hand_vel", rng.standard_normal((120, 2)), times)
    path = write_nwb(folder / "session.nwb", [np.sort(rng.uniform(0, 1.2, 40))] * 2, [velocity])
    return _hdf5(name, path, lambda file: read_nwb(file, bin_s=0.02))


def _hdf5(name: str, path: Path, read: Callable[[Path], object]) -> Target:
    """HDF5 files: the structure is all over the file, so that bytes are changed that are not zero."""
    valid = path.read_bytes()
    places = np.flatnonzero(np.frombuffer(valid, np.uint8)).tolist()

    def change(rng: random.Random, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.choice(places)
            changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, changed[at] ^ 1 << rng.randrange(8), rng.getrandbits(8)))
        return bytes(changed)

    return replace(_target(name, path, [valid], change, read), in_reader_process=True)


def csv(name: str, folder: Path) -> Target:
    """Trials as CSV."""
    rng = np.random.default_rng(5)
    rows = [f"{0.001 * i:.3f},n/a,{a:.4f},{b:.4f},{i % 2},1" for i, (a, b) in enumerate(rng.standard_normal((12, 2)))]
    text = "\n".join(["timestamp,eye_pos_x,hand_vel_x,hand_vel_y,unit_1011,unit_1021", *rows]) + "\n"
    pieces = [b"nan", b"inf", b'"', b"1e999", b",,,,", b"\r", b"\0", b"\xff", b"unit_1011", b"0x10", b"1_0", b"1j"]

    def change(rng: random.Random, data: bytes) -> bytes:
        return change_bytes(rng, data, pieces)

    return _target(name, folder / "trial.csv", [text.encode()], change, read_trial_csv)
