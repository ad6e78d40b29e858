"""Connects to an LSL outlet that liblsl has found, beside it."""

from __future__ import annotations

import math
import socket
import sys

import psutil
import pylsl

from services.ingest.feed import Feed
from services.ingest.handshake import TYPES, VERSION, OtherOutletError, UnusableFeedError, Wanted, shake_hands

_KEPT_S = 1.0
"""A worker that falls further behind loses samples, visibly, instead of lagging ever more."""

_LEAST_KEPT = 8


def connect_directly(info: pylsl.StreamInfo, timeout_s: float) -> Feed:
    """A feed of a stream's samples.

    Parameters
    ----------
    info : pylsl.StreamInfo
        Of a stream to which liblsl is connected: it alone knows the outlet's address.
    timeout_s : float
        For the connection, and again for all answers.

    Raises
    ------
    UnusableFeedError
        If this outlet has to be left to liblsl; says why.
    """
    rate = info.nominal_srate()
    wanted = Wanted.of(info, max(_LEAST_KEPT, math.ceil(rate * _KEPT_S)))
    if sys.platform != "linux":
        raise UnusableFeedError("this is done on Linux only")
    if wanted.format not in TYPES:
        raise UnusableFeedError("its samples are text")
    if pylsl.protocol_version() < VERSION:
        raise UnusableFeedError("the LSL configuration asks for an older protocol")
    why = "liblsl has no connection to it"
    for address in _addresses(info):
        if address[0].startswith("fe80:"):
            why = "its address is link-local, and liblsl does not say of which interface"
            continue
        try:
            return Feed(_connect(address, wanted, timeout_s), wanted, rate)
        except OtherOutletError:
            why = f"another outlet answers at {address[0]} port {address[1]}"
        except (OSError, UnusableFeedError) as error:
            why = str(error)
    raise UnusableFeedError(why)


def _connect(address: tuple[str, int], wanted: Wanted, timeout_s: float) -> socket.socket:
    connection = socket.create_connection(address, timeout_s)
    try:
        shake_hands(connection, wanted, timeout_s)
    except BaseException:
        connection.close()
        raise
    return connection


def _addresses(info: pylsl.StreamInfo) -> list[tuple[str, int]]:
    """Host and port of everything that liblsl is connected to and that may be this outlet.

    A resolved stream has the outlet's ports, but no address; liblsl keeps that, and does not tell.
    """
    text = info.as_xml()
    ports = {_number(text, name) for name in ("v4data_port", "v6data_port")} - {0}
    try:
        connections = psutil.Process().net_connections("tcp")
    except (OSError, psutil.Error) as error:
        raise UnusableFeedError(f"this process may not look at its own connections: {error}") from None
    return sorted({(c.raddr.ip, c.raddr.port) for c in connections if c.raddr and c.raddr.port in ports})


def _number(xml: str, name: str) -> int:
    _, _, rest = xml.partition(f"<{name}>")
    digits = rest.partition("<")[0].strip()
    return int(digits) if digits.isdigit() else 0
