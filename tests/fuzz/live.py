"""What a live session is told: messages, settings, descriptions of streams, configurations, flight recorders."""

from __future__ import annotations

import ctypes
import io
import json
import random
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from bmi_decoder import wire
from bmi_decoder.config import SessionSettings, WorkerSettings
from bmi_decoder.errors import BmiError, InputError, StreamMismatchError
from tests.fuzz.mutation import change_bytes, change_json, noise
from tests.fuzz.target import Target

_SESSION: dict[str, Any] = {
    "name": "m1",
    "stream": {"name": "M1", "type": "spikes", "source_id": "x", "search_timeout_s": 5.0},
    "decoder": "abc",
    "output_filters": {
        "low_latency": {"order": 4, "cutoff_hz": 6.25, "width": 32, "boundary": "odd", "kind": "bessel_block"},
        "high_accuracy": {"kind": "fir", "taps": [0.25, 0.5, 0.25], "lookahead": 1, "bin_s": 0.004},
    },
    "masked_channels": [0, 3, 5],
    "gap_policy": "hold",
    "max_gap_s": 1.0,
    "max_age_s": 0.2,
    "endpoint": "tcp://127.0.0.1:0",
    "encryption": "auto",
    "realtime": {
        "rehearse": True,
        "busy_poll": False,
        "direct": True,
        "cpus": [0, 1],
        "priority": 5,
        "lock_memory": False,
    },
}
_WORKER: dict[str, Any] = {
    "session": _SESSION, "bundle": "/a.bmi", "flight": "/a.flight", "revision": 3, "heartbeat_s": 0.5,
    "commands": "/a.sock", "keys": None, "settle_s": 1.0, "probation_s": 5.0,
    "resume": {"since_reset": 5, "pending": 8, "state": "AACAPw=="},
}  # fmt: skip
_COMMANDS: list[dict[str, Any]] = [
    {"swap": {"revision": 2, "bundle": "/b.bmi", "output_filters": _SESSION["output_filters"], "masked_channels": [1]}},
    {"state": {}},
    {"snapshot": {}},
]


def _texts(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def _json(values: list[Any]) -> Callable[[random.Random, bytes], bytes]:
    valid = _texts(*values)

    def change(rng: random.Random, data: bytes) -> bytes:
        way = rng.random()
        if way < 0.03:
            return noise(rng)
        return change_json(rng, json.loads(data)) if way < 0.8 else change_bytes(rng, data, valid)

    return change


def wire_frames(name: str, folder: Path) -> Target:
    """Messages, as a subscriber gets them from anyone."""
    packer = wire.EstimatePacker(tuple(wire.Variant), 3)
    event = {"event": "gap", "session": "m1", "at": 12.5, "bins": [1, 2], "why": None}
    valid = [
        bytes(packer.pack(5, 7, 1.0, 1.1, 9, 2, (0.9, 0.8, 0.7))),
        bytes(wire.EstimatePacker((wire.Variant.raw,), 1).pack(0, 0, 0.0, 0.0, 0, 1, (0.0,))),
        wire.pack_health(event),
        wire.pack_heartbeat(3.0, 8, 1),
    ]

    def change(rng: random.Random, data: bytes) -> bytes:
        way = rng.random()
        if way < 0.05:
            return data[:4] + noise(rng)
        if way < 0.4 and data[:4] == wire.HEALTH:
            return data[:4] + change_json(rng, json.loads(data[4:]))
        return change_bytes(rng, data, valid)

    def attempt(data: bytes) -> object:
        message = wire.parse(data)
        if isinstance(message, wire.Estimate):
            for variant in message.variants:
                message.variant(variant)
            assert message.outputs.shape[0] == len(message.variants) == len(message.t_valid)
        return repr(message)

    return Target(name, valid, change, attempt)


def settings(name: str, folder: Path) -> Target:
    """A session as REST takes it, and what its worker is started with."""
    short = {"name": "m1", "stream": {"name": "M1"}, "decoder": "abc"}
    values = [_SESSION, short, _WORKER]

    def attempt(data: bytes) -> object:
        if b'"session"' in data:
            worker = WorkerSettings.model_validate_json(data)
            return worker.session.encrypted, WorkerSettings.model_validate_json(worker.model_dump_json())
        session = SessionSettings.model_validate_json(data)
        assert "/" not in session.name and "." not in session.name
        again = SessionSettings.model_validate_json(session.model_dump_json())
        assert again == session, "what is stored must be what was given"
        return session.encrypted

    return Target(name, _texts(*values), _json(values), attempt, (ValidationError,))


def commands(name: str, folder: Path) -> Target:
    """A line on the command socket of a worker."""
    from services.worker.command import Command, SnapshotAnswer, StateAnswer, SwapAnswer

    answers = [
        {"outcome": "switched", "reason": ""},
        {"swapping_to": None, "last_failure": [3, "no"]},
        {"outcome": "taken", "revision": 1, "bundle": "/b", "sequence": 5, "state": "AACAPw=="},
    ]
    kinds = (Command, SwapAnswer, StateAnswer, SnapshotAnswer)

    def attempt(data: bytes) -> object:
        for kind in kinds[:-1]:
            try:
                return kind.model_validate_json(data)
            except ValidationError:
                continue
        return kinds[-1].model_validate_json(data)

    values = [*_COMMANDS, *answers]
    return Target(name, _texts(*values), _json(values), attempt, (ValidationError,))


def outlets(name: str, folder: Path) -> Target:
    """What an outlet says over its connection: its answer, its test samples, and samples."""
    import socket

    from services.ingest.handshake import OtherOutletError, UnusableFeedError, shake_hands
    from tests.ingest.outlets import Line, greeting, sample, wanted

    ask = wanted()
    row = [0.0, 1.0, -2.0, 3.0, 100.0]
    valid = [greeting() + sample(1.0, row) + sample(None, row) * k + sample(2.0, row) for k in (0, 1, 30)]

    def attempt(data: bytes) -> object:
        line = Line(ask)
        try:
            line.outlet.sendall(data)
            line.outlet.shutdown(socket.SHUT_WR)
            shake_hands(line.connection, ask, 5.0)
            line.connection.setblocking(False)
            n = 0
            while isinstance(line.pull(1.0), tuple):
                n += 1
            assert line.error.value and n <= len(data) // (4 * len(row) + 1)
            return n
        finally:
            line.close()

    return Target(
        name,
        valid,
        lambda rng, data: change_bytes(rng, data, valid),
        attempt,
        (UnusableFeedError, OtherOutletError, ConnectionResetError),
    )


def descriptions(name: str, folder: Path) -> Target:
    """The XML that an outlet tells of itself, up to whether a session takes the stream."""
    import pylsl
    from pylsl.lib import lib

    from services.certify.finding import Finding
    from services.certify.manifest import expect, read_manifest, write_manifest
    from services.ingest.description import RigDescription, read_description, write_description
    from services.ingest.expectation import check_stream
    from services.ingest.found import FoundStream, _texts
    from services.ingest.lsl import describe

    info = pylsl.StreamInfo("M1", "spikes", 2, 500.0, "float32", "test")
    write_description(info, RigDescription(2.0), ["a", "b"], ["spikes", "spikes"])
    plain = pylsl.StreamInfo("M1", "spikes", 2, 250.0, "int16", "other")
    # As an outlet sends it, which has given it an identity.
    valid = [one.as_xml().replace("<uid></uid>", "<uid>aa752a8b</uid>").encode() for one in (info, plain)]
    from_xml = lib.lsl_streaminfo_from_xml
    from_xml.restype = ctypes.c_void_p

    def attempt(data: bytes) -> object:
        # liblsl answers what it does not understand with a stream of such a name, and never shows that to a search.
        full = pylsl.StreamInfo(handle=from_xml(data.replace(b"\0", b"")))
        visible, description = describe(full), read_description(full)
        if visible.name.startswith("(invalid: "):
            raise InputError("liblsl does not understand it")
        n = visible.n_channels
        with redirect_stdout(io.StringIO()):
            labels, units = _texts(full.get_channel_labels(), n), _texts(full.get_channel_units(), n)
        found = FoundStream(full, visible, description, labels, units)
        (asked,) = expect([found])
        if not isinstance(asked, Finding):
            write_manifest(folder / "rig.yaml", [asked])
            assert read_manifest(folder / "rig.yaml").streams == (asked,)
        return check_stream(visible, description, 2, 0.004)

    return Target(
        name, valid, lambda rng, data: change_bytes(rng, data, valid), attempt, (StreamMismatchError, InputError)
    )


def rig_manifests(name: str, folder: Path) -> Target:
    """The YAML file that says which streams a rig has."""
    from services.certify.manifest import read_manifest

    text = b"""
streams:
  - name: M1
    type: spikes
    channels: 2
    rate_hz: 250
    labels: [a, b]
    units: spikes
  - {name: M1-kinematics, type: kinematics, format: double64, source_id: "x"}
limits:
  deadline_misses: 0.01
"""
    pieces = [
        b"&a [*a]",
        b"<<: {",
        b"!!python/object:os.system",
        b"2001-01-01",
        b"? ",
        b"- - - ",
        b"1:30:30",
        b".inf",
        b"0o9",
        b"\t",
    ]
    pieces += [
        b"!!binary x",
        b"!!set {a}",
        b"%YAML 9.9\n---\n",
        b"--- a\n--- b",
        b"!!timestamp 9999-99-99",
        b"2001-99-99",
    ]
    return _of_files(name, folder / "rig.yaml", [text], pieces, read_manifest)


def lsl_configurations(name: str, folder: Path) -> Target:
    """A configuration of liblsl, as `certify` reads it."""
    from services.ingest.lsl_settings import read_lsl_settings

    valid = [path.read_bytes() for path in sorted(Path("deploy/lsl").glob("*.cfg"))]
    pieces = [
        b"[ports]\n",
        b"PortRange = ",
        b"99999999999999999999",
        b"%(x)s",
        b"{1,,2}",
        b"ResolveScope = x\n",
        b"= \n",
        b"[lab\n",
    ]

    def attempt(path: Path) -> object:
        found = read_lsl_settings(path)
        return str(found), found.ports

    return _of_files(name, folder / "lsl.cfg", valid, pieces, attempt)


def flight_files(name: str, folder: Path) -> Target:
    """A flight recorder, as ``bmi-decoder flight`` and the control plane read it."""
    from services.worker.flight.layout import COUNTERS_AT, FIXED, HEADER_SIZE
    from services.worker.flight.reader import FlightReader
    from services.worker.flight.writer import FlightWriter
    from services.worker.flight_summary import summarise

    path = folder / "m1.flight"
    writer = FlightWriter(path, 1.0, 2, revision=1, n_channels=5)
    for k in range(70):
        writer.record(k, k, k, k, k, k + 1e-3, k, 2 * (k % 9 == 0), 1 + k // 40, [float(k)] * 2)
    writer.set_endpoint("tcp://127.0.0.1:5555", "key")
    writer.set_channels(np.array([0, 1, 2, 4, 8], np.uint8))
    valid = [path.read_bytes()]

    def change(rng: random.Random, data: bytes) -> bytes:
        if rng.random() < 0.5:
            return change_bytes(rng, data)
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            at = 4 * rng.randrange((FIXED.size if rng.random() < 0.3 else HEADER_SIZE) // 4)
            at = rng.choice((at, COUNTERS_AT + at % 64, 24 + at % 16, 3968 + at % 48))
            changed[at : at + 4] = rng.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\0\0\xf8\x7f", rng.randbytes(4))
            )
        return bytes(changed)

    def attempt(file: Path) -> object:
        reader = FlightReader(file)
        try:
            return reader.status().plain(), summarise(reader.records()), reader.latency_us()
        finally:
            reader.close()

    base = _of_files(name, folder / "fuzzed.flight", valid, [], attempt)
    return Target(name, valid, change, base.attempt)


def _of_files(name: str, path: Path, valid: list[bytes], pieces: list[bytes], read: Callable[[Path], object]) -> Target:
    """A reader of files, whose input is changed as bytes, with pieces that such files have elsewhere."""

    def change(rng: random.Random, data: bytes) -> bytes:
        return noise(rng) if rng.random() < 0.03 else change_bytes(rng, data, [*valid, *pieces])

    def attempt(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return Target(name, valid, change, attempt, (BmiError,))
