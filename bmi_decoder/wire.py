"""Layout of published messages: the byte table of docs/reference/wire.md as code.

One ZeroMQ frame is one message. Its first four bytes are both the kind and the subscription key:
``BMID`` an estimate, ``BMIH`` a health event, ``BMIB`` a heartbeat. All numbers are little-endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError

ESTIMATE, HEALTH, HEARTBEAT = b"BMID", b"BMIH", b"BMIB"
VERSION = 1
HEADER = struct.Struct("<4sHBBQqddII8s8x")
MAX_VARIANTS = 8
NO_VARIANT = 255


class Flag(IntFlag):
    """What a subscriber must know about one estimate; several may be set."""

    WARM_UP = 1
    HELD = 2
    ZEROED = 4
    RESET = 8
    SWAPPED = 16
    INVALID = 32


class Variant(IntEnum):
    """The forms in which an estimate is published."""

    raw = 0
    low_latency = 1
    high_accuracy = 2


@dataclass(frozen=True, eq=False)
class Estimate:
    """One decoded bin.

    Attributes
    ----------
    sequence : int
        Position in the session's stream of messages, from 0, without holes: a jump is a loss on the way.
    bin_index : int
        Bin on the session's time grid, from 0; jumps where a gap was not filled.
    t_source, t_publish : float
        End of the bin that triggered the estimate, and the moment of sending; seconds, local LSL clock.
    flags : Flag
    revision : int
        Decoder revision of the session, from 1.
    variants : tuple of Variant
    t_valid : array (V,)
        The time that each variant describes, seconds; earlier than `t_source` by the filter's lookahead.
    outputs : array (V, K) of float32
    """

    sequence: int
    bin_index: int
    t_source: float
    t_publish: float
    flags: Flag
    revision: int
    variants: tuple[Variant, ...]
    t_valid: npt.NDArray[np.float64]
    outputs: npt.NDArray[np.float32]

    def variant(self, variant: Variant | str) -> npt.NDArray[np.float32]:
        """The K outputs of one variant, by name or code.

        Raises
        ------
        KeyError
            If the session does not publish that variant.
        """
        wanted = Variant[variant] if isinstance(variant, str) else variant
        if wanted not in self.variants:
            raise KeyError(f"no {wanted.name} output in this stream; it has {[v.name for v in self.variants]}")
        return self.outputs[self.variants.index(wanted)]


@dataclass(frozen=True)
class Health:
    """A health event: something about the stream or the worker that a user must know."""

    event: dict[str, Any]


@dataclass(frozen=True)
class Heartbeat:
    """Sent while no data flows, so that silence means a dead worker and nothing else."""

    t_publish: float
    next_sequence: int
    revision: int


Message = Estimate | Health | Heartbeat


class EstimatePacker:
    """Packs estimates into one preallocated buffer; the worker's hot loop allocates nothing here.

    Parameters
    ----------
    variants : sequence of Variant
        Published forms, in order; 1 to 8.
    n_outputs : int
        K, 1 to 255.

    Attributes
    ----------
    buffer : bytearray
        The message, ready to send after `pack`; overwritten by the next call.
    outputs : array (V, K) of float32
        A view into the buffer: write the estimate here before `pack`.
    address : int
        Of the buffer.
    """

    def __init__(self, variants: Sequence[Variant], n_outputs: int) -> None:
        if not 1 <= len(variants) <= MAX_VARIANTS or not 1 <= n_outputs <= 255:
            raise InputError(
                f"a message carries 1 to 8 variants of 1 to 255 outputs, got {len(variants)} of {n_outputs}"
            )
        self._n_outputs = n_outputs
        self._n_variants = len(variants)
        self._codes = bytes(variants).ljust(MAX_VARIANTS, bytes([NO_VARIANT]))
        times_stop = HEADER.size + 8 * len(variants)
        self.buffer = bytearray(times_stop + 4 * len(variants) * n_outputs)
        self._t_valid = struct.Struct(f"<{len(variants)}d")
        self.outputs = np.frombuffer(self.buffer, "<f4", offset=times_stop).reshape(len(variants), n_outputs)
        self.address: int = self.outputs.ctypes.data - times_stop

    def pack(
        self,
        sequence: int,
        bin_index: int,
        t_source: float,
        t_publish: float,
        flags: int,
        revision: int,
        t_valid: Sequence[float],
    ) -> bytearray:
        """Fill in everything but the outputs, which are already in `outputs`."""
        HEADER.pack_into(
            self.buffer,
            0,
            ESTIMATE,
            VERSION,
            self._n_outputs,
            self._n_variants,
            sequence,
            bin_index,
            t_source,
            t_publish,
            flags,
            revision,
            self._codes,
        )
        self._t_valid.pack_into(self.buffer, HEADER.size, *t_valid)
        return self.buffer


def pack_health(event: dict[str, Any]) -> bytes:
    """A health event; `event` must be plain JSON."""
    return HEALTH + json.dumps(event, separators=(",", ":")).encode()


def pack_heartbeat(t_publish: float, next_sequence: int, revision: int) -> bytes:
    """A heartbeat: the estimate header with no variants; `sequence` is that of the next estimate."""
    codes = bytes([NO_VARIANT]) * MAX_VARIANTS
    return HEADER.pack(HEARTBEAT, VERSION, 0, 0, next_sequence, -1, 0.0, t_publish, 0, revision, codes)


def parse(frame: bytes) -> Message:
    """Parse one frame.

    Raises
    ------
    InputError
        If the frame is not a complete message of a version this library knows.
    """
    kind = bytes(frame[:4])
    if kind == HEALTH:
        try:
            event = json.loads(frame[4:])
        except (ValueError, RecursionError) as error:
            raise InputError(f"health event is not JSON: {error}") from None
        if not isinstance(event, dict):
            raise InputError("health event must be a JSON object")
        return Health(event)
    if kind not in (ESTIMATE, HEARTBEAT):
        raise InputError(f"not a message of this service: it starts with {kind!r}")
    if len(frame) < HEADER.size:
        raise InputError(f"message is cut short: {len(frame)} bytes, the header alone has {HEADER.size}")
    (_, version, n_outputs, n_variants, sequence, bin_index, t_source, t_publish, flags, revision, codes) = (
        HEADER.unpack_from(frame)
    )
    if version != VERSION:
        raise InputError(f"message has version {version}, this library reads version {VERSION}: update the older side")
    if kind == HEARTBEAT:
        return Heartbeat(t_publish, sequence, revision)
    times_stop = HEADER.size + 8 * n_variants
    if n_variants > MAX_VARIANTS or len(frame) != times_stop + 4 * n_variants * n_outputs:
        raise InputError(f"message of {len(frame)} bytes does not hold {n_variants} variants of {n_outputs} outputs")
    try:
        variants = tuple(Variant(code) for code in codes[:n_variants])
    except ValueError as error:
        raise InputError(f"message has an unknown variant: {error}") from None
    return Estimate(
        sequence,
        bin_index,
        t_source,
        t_publish,
        Flag(flags),
        revision,
        variants,
        np.frombuffer(frame, "<f8", n_variants, HEADER.size),
        np.frombuffer(frame, "<f4", n_variants * n_outputs, times_stop).reshape(n_variants, n_outputs),
    )
