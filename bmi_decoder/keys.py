"""CURVE keys of ZeroMQ, and the files in which its libraries keep them.

A pair is 32 random bytes and what follows from them, both written in Z85 with 40 characters. The files are those of
czmq and pyzmq: ``NAME.key_secret`` holds both halves and is for its owner alone, ``NAME.key`` the public one.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import zmq
import zmq.auth
from zmq.utils import z85

from bmi_decoder.errors import BmiError, InputError

_LENGTH = 40
_SECRET = "# ZeroMQ CURVE secret key: whoever has this file is its owner. Give away the .key file instead.\n"
_PUBLIC = "# ZeroMQ CURVE public key.\n"


@dataclass(frozen=True)
class KeyPair:
    """Both halves of a key, in Z85."""

    public: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls) -> KeyPair:
        """A new one."""
        public, secret = zmq.curve_keypair()
        return cls(public.decode(), secret.decode())


def write_pair(folder: Path, name: str, pair: KeyPair) -> tuple[Path, Path]:
    """Write the secret file, for this user alone, and the public one; gives their paths.

    Raises
    ------
    InputError
        If there is a key of that name already.
    BmiError
        If they cannot be written.
    """
    secret, public = folder / f"{name}.key_secret", folder / f"{name}.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, mode, content in ((secret, 0o600, secret_file(pair)), (public, 0o644, public_file(pair.public))):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(content)
    except FileExistsError as error:
        raise InputError(f"there is a key {error.filename} already; choose another name, or remove it") from None
    except OSError as error:
        raise BmiError(f"cannot write a key into {folder}: {error.strerror}") from None
    return secret, public


def secret_file(pair: KeyPair) -> str:
    """Content of a file with both halves."""
    return f'{_SECRET}curve\n    public-key = "{pair.public}"\n    secret-key = "{pair.secret}"\n'


def public_file(public: str) -> str:
    """Content of a file with the public half."""
    return f'{_PUBLIC}curve\n    public-key = "{public}"\n'


def read_pair(path: str | Path) -> KeyPair:
    """Both halves of a key from its secret file.

    Raises
    ------
    InputError
        If there is none, or others can read it.
    """
    public, secret = _read(Path(path))
    if secret is None:
        raise InputError(f"{path} holds the public half alone; give the .key_secret file beside it")
    if stat.S_IMODE(Path(path).stat().st_mode) & 0o077:
        raise InputError(f"{path} can be read by others, who could pass for you: chmod 600 it, or make a new key")
    return KeyPair(public, secret)


def read_public(key: str | Path) -> str:
    """A public key, from its file or as it is.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(key, str) and is_key(key):
        return key
    if not Path(key).exists():
        raise InputError(f"{str(key)!r} is neither a file nor a CURVE key, which has {_LENGTH} characters of Z85")
    return _read(Path(key))[0]


def is_key(text: str) -> bool:
    """Whether this is half a key in Z85."""
    with contextlib.suppress(ValueError, KeyError, OverflowError):
        return len(text) == _LENGTH and len(z85.decode(text.encode("ascii"))) == 32
    return False


def _read(path: Path) -> tuple[str, str | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
        halves = public.decode("ascii"), None if secret is None else secret.decode("ascii")
    except OSError as error:
        raise InputError(f"cannot read key {path}: {error.strerror or 'there is no such file'}") from None
    except (ValueError, IndexError):
        raise InputError(f"{path} is not a file with a CURVE key") from None
    if not all(is_key(half) for half in halves if half is not None):
        raise InputError(f"{path} is not a file with a CURVE key: it has other than {_LENGTH} characters of Z85")
    return halves
