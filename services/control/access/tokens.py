"""Tokens of people and programs: only their hashes are kept, each with a scope."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from bmi_decoder.errors import BmiError, InputError
from services.control.clock import now
from services.durable import write_durably

Scope = Literal["read", "control"]
"""`read` looks, `control` changes as well."""


@dataclass(frozen=True)
class Token:
    """What is kept of a token.

    A token is 256 random bits, which nobody can guess from its plain hash.
    """

    name: str
    scope: Scope
    sha256: str
    created_at: str


_TOKENS = TypeAdapter(list[Token])


class TokenFile:
    """The tokens of one data directory; changes of the file are seen at once.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._tokens: list[Token] = []

    def tokens(self) -> list[Token]:
        """All tokens.

        Raises
        ------
        BmiError
            If the file is damaged or cannot be read.
        """
        try:
            found = self._path.stat()
            if (found.st_mtime_ns, found.st_ino) != self._seen:
                self._tokens = _TOKENS.validate_json(self._path.read_bytes())
                self._seen = found.st_mtime_ns, found.st_ino
        except FileNotFoundError:
            self._seen, self._tokens = None, []
        except OSError as error:
            raise BmiError(
                f"cannot use data directory {self._path.parent}: {self._path.name}: {error.strerror}"
            ) from None
        except ValueError:
            raise BmiError(
                f"{self._path} is not a file of tokens; restore it, or remove it and add them again"
            ) from None
        return self._tokens

    def add(self, name: str, scope: Scope) -> str:
        """Make a token; this is the only time that it can be seen.

        Raises
        ------
        InputError
            If there is one of that name.
        """
        secret = secrets.token_urlsafe(32)
        with self._alone():
            known = self.tokens()
            if any(token.name == name for token in known):
                raise InputError(f"there is a token {name!r} already; remove it first, or choose another name")
            self._write([*known, Token(name, scope, digest(secret), now())])
        return secret

    def remove(self, name: str) -> None:
        """Take a token back.

        Raises
        ------
        InputError
            If there is none of that name.
        """
        with self._alone():
            known = self.tokens()
            kept = [token for token in known if token.name != name]
            if len(kept) == len(known):
                listed = ", ".join(token.name for token in known) or "none"
                raise InputError(f"there is no token {name!r}; there is: {listed}")
            self._write(kept)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from changing the file between our look at it and our change."""
        try:
            lock = self._path.with_suffix(".lock").open("w")
        except OSError as error:
            raise BmiError(f"cannot use data directory {self._path.parent}: {error.strerror}") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, tokens: list[Token]) -> None:
        write_durably(self._path, json.dumps([asdict(token) for token in tokens], indent=1).encode())


def tokens_path(data_dir: Path) -> Path:
    """Where the tokens of a data directory are."""
    return data_dir.expanduser().absolute() / "tokens.json"


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def scope_of(presented: str, tokens: list[Token]) -> Scope | None:
    """The scope of a presented token, None if it is none of them; takes as long for each."""
    found: Scope | None = None
    given = digest(presented)
    for token in tokens:
        if hmac.compare_digest(given, token.sha256):
            found = token.scope
    return found
