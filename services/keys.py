"""The CURVE keys of a data directory: the server's own, and those of whom it lets subscribe."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.keys import KeyPair, public_file, read_pair, read_public, secret_file
from services.durable import write_durably

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
"""Names of those who may subscribe; each is a file's too."""

_log = logging.getLogger(__name__)


class KeyFolder:
    """Keys on disk, read whenever they are asked for: what is allowed or revoked holds from the next connection on.

    ``server.key_secret`` is the pair that sessions publish with, ``server.key`` its public half for subscribers,
    ``service.key_secret`` the pair with which recorders and the control plane subscribe, and ``allowed/NAME.key`` a
    public key of everybody else who may.

    Parameters
    ----------
    path : Path
        ``keys`` in the data directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._allowed = path / "allowed"

    def create(self) -> None:
        """Make the folder and the keys that are missing.

        Raises
        ------
        OSError
            If they cannot be written.
        """
        self.path.mkdir(mode=0o700, exist_ok=True)
        with self._alone():
            self._allowed.mkdir(mode=0o700, exist_ok=True)
            for path in (self.path / "server.key_secret", self.path / "service.key_secret"):
                if not path.exists():
                    write_durably(path, secret_file(KeyPair.generate()).encode())
            self._show_server()

    def server(self) -> KeyPair:
        """What sessions publish with.

        Raises
        ------
        InputError
            If it is missing, damaged, or open to others.
        """
        return read_pair(self.path / "server.key_secret")

    def service(self) -> KeyPair:
        """What the service's own processes subscribe with; raises as `server`."""
        return read_pair(self.path / "service.key_secret")

    def rotate(self) -> KeyPair:
        """A new pair of the server, for sessions that are started from now on."""
        pair = KeyPair.generate()
        with self._alone():
            write_durably(self.path / "server.key_secret", secret_file(pair).encode())
            self._show_server()
        return pair

    def allowed(self) -> dict[str, str]:
        """Who may subscribe: public keys by name. A file that is none is left out, and logged."""
        found = {}
        for path in sorted(self._allowed.glob("*.key")):
            try:
                found[path.stem] = read_public(path)
            except InputError as error:
                _log.warning("nobody is let in by %s", error)
        return found

    def allow(self, name: str, public: str) -> None:
        """Let the owner of a key subscribe.

        Raises
        ------
        InputError
            If the name is taken, or no name.
        """
        if not NAME.fullmatch(name):
            raise InputError(f"a name has 1 to 64 letters, digits and _.@- after the first, got {name!r}; see --name")
        with self._alone():
            known = self.allowed()
            if known.get(name, public) != public:
                raise InputError(f"{name!r} is allowed with another key; revoke that first, or give another --name")
            write_durably(self._allowed / f"{name}.key", public_file(public).encode())

    def revoke(self, name: str) -> None:
        """Let a key subscribe no more.

        Raises
        ------
        InputError
            If there is none of that name.
        """
        try:
            if not NAME.fullmatch(name):
                raise FileNotFoundError
            (self._allowed / f"{name}.key").unlink()
        except FileNotFoundError:
            known = ", ".join(self.allowed()) or "none"
            raise InputError(f"no key {name!r} is allowed; there is: {known}") from None

    def allows(self, public: str) -> bool:
        """Whether the owner of a key may subscribe."""
        try:
            return public == self.service().public or public in self.allowed().values()
        except (OSError, BmiError) as error:
            _log.error("nobody can subscribe: %s", error)
            return False

    def _show_server(self) -> None:
        path, content = self.path / "server.key", public_file(self.server().public).encode()
        if not path.exists() or path.read_bytes() != content:
            write_durably(path, content)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others, in this process or another, from writing keys meanwhile."""
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
