"""By which way streams are found: every address of the LSL configuration is asked by itself.

A search is a datagram ``LSL:shortinfo``, a query, and where to answer (liblsl's wire protocol 1.10); an outlet that
matches answers with its description.
"""

from __future__ import annotations

import os
import re
import select
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from services.certify.finding import Finding, judged
from services.ingest.lsl_settings import LslSettings

_WAIT_S = 1.5
_ASK_EVERY_S = 0.5
_UID = re.compile(rb"<uid>([^<]+)</uid>")


@dataclass(frozen=True)
class DiscoveryFacts:
    """Who answered.

    Attributes
    ----------
    routes : mapping of str to tuple of str
        uid of each outlet that answered to the ways on which it did, in the order of the configuration.
    refused : mapping of str to str
        Ways on which this machine cannot even ask, and why.
    own : str
        uid of an outlet that was opened to be found.
    """

    routes: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, str]
    own: str


def discovery_facts(settings: LslSettings, wait_s: float = _WAIT_S) -> DiscoveryFacts:
    """Open an outlet, and ask on every way who is there."""
    with _outlet() as own, _asking(settings) as asking:
        ways, refused, routes = _ways(settings), dict[str, str](), dict[str, list[str]]()
        port, end, ask_at = asking.getsockname()[1], time.monotonic() + wait_s, 0.0
        while (now := time.monotonic()) < end:
            if now >= ask_at:
                ask_at = now + _ASK_EVERY_S
                refused |= _ask(asking, settings, ways, port)
            if not select.select([asking], [], [], min(ask_at, end) - now)[0]:
                continue
            number, _, answer = asking.recv(65536).partition(b"\n")
            uid = _UID.search(answer)
            if uid and number.strip().isdigit() and int(number) < len(ways):
                routes.setdefault(uid[1].decode(errors="replace"), []).append(list(ways)[int(number)])
    ordered = {uid: tuple(way for way in ways if way in its) for uid, its in routes.items()}
    return DiscoveryFacts(ordered, refused, own)


def check_discovery(facts: DiscoveryFacts, settings: LslSettings) -> Finding:
    """Judge whether an outlet of this machine is found from it."""
    ways = facts.routes.get(facts.own, ())
    beyond = [way for way in ways if not way.endswith(" 127.0.0.1")]
    refused = "".join(f"; {way}: {why}" for way, why in facts.refused.items())
    found = f"an outlet of this machine is found by {', '.join(ways) or 'no way'}{refused}"
    alone = settings.scope == "machine" or set(settings.addresses) == {"127.0.0.1"}
    cut_off = not (ways if alone else beyond)
    remedy = (
        f"open UDP {settings.multicast_port}, and UDP and TCP {settings.ports[0]}-{settings.ports[-1]}, in this "
        "machine's firewall; name its card in Interfaces, and the rig in KnownPeers; if the rig is on this machine, "
        "--lsl loopback"
    )
    return judged(
        "LSL",
        "discovery",
        found,
        ("warn" if settings.known_peers and ways else "fail") if cut_off else "warn" if facts.refused else None,
        remedy,
        routes=list(ways),
        refused=dict(facts.refused),
    )


def _ways(settings: LslSettings) -> dict[str, list[tuple[str, int]]]:
    """Names of the ways, and where each is asked."""
    ways = {f"{_kind(address)} {address}": [(address, settings.multicast_port)] for address in settings.addresses}
    return ways | {f"known peer {peer}": [(peer, port) for port in settings.ports] for peer in settings.known_peers}


def _kind(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "address"
    if parsed == IPv4Address("255.255.255.255"):
        return "broadcast"
    return "multicast" if parsed.is_multicast else "address"


def _ask(
    asking: socket.socket, settings: LslSettings, ways: dict[str, list[tuple[str, int]]], port: int
) -> dict[str, str]:
    refused = {}
    for number, (way, targets) in enumerate(ways.items()):
        query = f"LSL:shortinfo\r\nsession_id='{settings.session_id}'\r\n{port} {number}\r\n".encode()
        for interface in settings.interfaces or ("",):
            try:
                if interface:
                    asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
                for target in targets:
                    asking.sendto(query, target)
            except OSError as error:
                refused[way] = error.strerror or str(error)
    return refused


@contextmanager
def _asking(settings: LslSettings) -> Iterator[socket.socket]:
    """A socket on the first free port of the range, where a firewall lets answers in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, settings.hops)
        for port in (*settings.ports, 0):
            try:
                asking.bind(("", port))
                break
            except OSError:
                continue
        yield asking


@contextmanager
def _outlet() -> Iterator[str]:
    """An outlet of ours for the length of a block; its uid."""
    import pylsl

    name = f"bmi-decoder-certify-{os.getpid()}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "certify", 1, 0.0, "float32", name))
    try:
        yield outlet.get_info().uid()
    finally:
        del outlet
