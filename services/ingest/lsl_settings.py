"""What the LSL configuration in force says, read as liblsl 1.16 reads it.

Where it says nothing, the defaults are liblsl's own (labstreaminglayer.readthedocs.io/info/lslapicfg.html). IPv6 is
left out.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

from bmi_decoder.errors import InputError

_SCOPES = ("machine", "link", "site", "organization", "global")
_HOPS = (0, 1, 24, 32, 255)
_ADDRESSES = ("{127.0.0.1}", "{255.255.255.255, 224.0.0.1, 224.0.0.183}", "{239.255.172.215}", "{}", "{}")


@dataclass(frozen=True)
class LslSettings:
    """How streams are looked for.

    Attributes
    ----------
    path : Path
    scope : str
        ``ResolveScope``.
    addresses : tuple of str
        Where a search is sent, IPv4, at `multicast_port`.
    hops : int
        Routers that a search passes, plus one.
    interfaces : tuple of str
        Addresses of the network cards to search on; empty is the system's choice.
    listen_address : str
        Where outlets hear a search; empty is everywhere.
    known_peers : tuple of str
        Machines that are asked directly, on every port of the range.
    session_id : str
    multicast_port, base_port, port_range : int
    random_ports : bool
        Whether a program that finds no free port of the range takes any other.
    """

    path: Path
    scope: str
    addresses: tuple[str, ...]
    hops: int
    interfaces: tuple[str, ...]
    listen_address: str
    known_peers: tuple[str, ...]
    session_id: str
    multicast_port: int
    base_port: int
    port_range: int
    random_ports: bool

    @property
    def ports(self) -> range:
        """Ports of samples, descriptions and answers, TCP and UDP."""
        return range(self.base_port, self.base_port + self.port_range)

    def __str__(self) -> str:
        peers = ", ".join(self.known_peers) or "none"
        return (
            f"{self.path.name}: scope {self.scope}, session {self.session_id!r}, known peers {peers}, "
            f"search port {self.multicast_port}, ports {self.ports[0]} to {self.ports[-1]}"
        )


def read_lsl_settings(path: Path) -> LslSettings:
    """Read a configuration file.

    Raises
    ------
    InputError
        If liblsl would not take it, and silently use its defaults.
    """
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=(";",), strict=False)
    try:
        parser.read_string(path.read_text())

        def get(section: str, key: str, default: str) -> str:
            return parser.get(section, key, fallback=default).strip()

        scope = get("multicast", "ResolveScope", "site")
        if scope not in _SCOPES:
            raise ValueError(f"ResolveScope {scope!r} is none of {', '.join(_SCOPES)}")
        level = _SCOPES.index(scope)
        groups = [
            get("multicast", f"{name.title()}Addresses", default)
            for name, default in zip(_SCOPES, _ADDRESSES, strict=True)
        ]
        addresses = [address for group in groups[: level + 1] for address in _members(group)]
        override = int(get("multicast", "TTLOverride", "-1"))
        settings = LslSettings(
            path,
            scope,
            tuple(_members(get("multicast", "AddressesOverride", "{}")) or addresses),
            override if override >= 0 else _HOPS[level],
            tuple(_members(get("multicast", "Interfaces", "{}"))),
            get("multicast", "ListenAddress", ""),
            tuple(_members(get("lab", "KnownPeers", "{}"))),
            get("lab", "SessionID", "default"),
            int(get("ports", "MulticastPort", "16571")),
            int(get("ports", "BasePort", "16572")),
            int(get("ports", "PortRange", "32")),
            get("ports", "AllowRandomPorts", "true").lower() in ("true", "1"),
        )
        if not (0 < settings.multicast_port < 65536 and 0 < settings.base_port <= 65535 - settings.port_range):
            raise ValueError("ports are numbers from 1 to 65535")
        if settings.port_range < 1:
            raise ValueError("PortRange must be 1 or more")
    except (configparser.Error, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"LSL ignores the whole configuration {path} and uses its defaults: {reason}") from None
    return settings


def _members(text: str) -> list[str]:
    inner = text.removeprefix("{").removesuffix("}")
    return [part.strip() for part in inner.split(",") if part.strip()]
