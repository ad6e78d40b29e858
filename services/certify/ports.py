"""Whether the ports of the LSL configuration can be had."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from services.certify.finding import Finding, judged
from services.ingest.lsl_settings import LslSettings

_FEW = 8
"""Ports that one session may take: a search, inlets, a recorder, outlets."""


@dataclass(frozen=True)
class PortFacts:
    """Ports of the range that are taken, and why the search port cannot be shared; empty if it can."""

    tcp_taken: tuple[int, ...]
    udp_taken: tuple[int, ...]
    search_problem: str = ""


def port_facts(settings: LslSettings) -> PortFacts:
    """Bind every one of them for a moment."""
    kinds = socket.SOCK_STREAM, socket.SOCK_DGRAM
    tcp, udp = (tuple(port for port in settings.ports if _bind_problem(kind, "", port)) for kind in kinds)
    search = _bind_problem(socket.SOCK_DGRAM, settings.listen_address, settings.multicast_port, shared=True)
    return PortFacts(tcp, udp, search)


def check_ports(facts: PortFacts, settings: LslSettings) -> list[Finding]:
    """Judge them."""
    n = settings.port_range
    free_tcp, free_udp = n - len(facts.tcp_taken), n - len(facts.udp_taken)
    least = min(free_tcp, free_udp)
    none_left = least == 0 and not settings.random_ports
    span = f"{settings.ports[0]} to {settings.ports[-1]}"
    ports = judged(
        "LSL",
        "ports",
        f"{span}: {free_tcp} of {n} free for TCP, {free_udp} for UDP",
        "fail" if none_left else "warn" if least < _FEW else None,
        f"see who has them with 'ss -lntup', end programs that use LSL no more, or raise PortRange in {settings.path}",
        tcp_taken=list(facts.tcp_taken),
        udp_taken=list(facts.udp_taken),
    )
    search = judged(
        "LSL",
        "search port",
        f"UDP {settings.multicast_port}: {facts.search_problem or 'can be shared'}",
        "fail" if facts.search_problem else None,
        f"another program keeps it to itself: find it with 'ss -lnup sport = :{settings.multicast_port}'",
    )
    return [ports, search]


def _bind_problem(kind: socket.SocketKind, address: str, port: int, shared: bool = False) -> str:
    with socket.socket(socket.AF_INET, kind) as probe:
        if shared or kind == socket.SOCK_STREAM:
            # For TCP only connections that have ended are passed over so, not a program that listens.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""
