"""Settings of the control plane, and the rules on who may reach it."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from pydantic import Field, SecretStr

from bmi_decoder.config import Settings
from bmi_decoder.errors import InputError
from services.control.access.tokens import Token, TokenFile, digest, tokens_path

TOKEN_VARIABLE = "BMI_TOKEN"
MIN_TOKEN_LENGTH = 16
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class ControlSettings(Settings):
    """Where the control plane listens, where it keeps its files and who may use it."""

    data_dir: Path = Field(description="Decoders, sessions and their files; one control plane per directory.")
    database: str | None = Field(None, description="URL of the database; null is a SQLite file in the data directory.")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    token: SecretStr | None = Field(None, description="What clients must present; needed off loopback.")
    max_upload_bytes: int = Field(256 * 2**20, gt=0, description="Largest decoder file that is accepted.")
    max_recording_bytes: int = Field(4 * 2**30, gt=0, description="Largest recording that is accepted.")
    upload_stall_s: float = Field(
        30.0, gt=0, description="An upload that brings less than 64 KiB in this time is given up."
    )
    start_wait_s: float = Field(10.0, gt=0, description="Longest time that a start waits for its worker.")

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        return ipaddress.ip_address(resolve(self.host, self.port)[1][0]).is_loopback

    @property
    def token_file(self) -> TokenFile:
        """The tokens that were added with the `token` command."""
        return TokenFile(tokens_path(self.data_dir))

    @property
    def own_tokens(self) -> list[Token]:
        """The one of the settings, if there is one; kept as the others are: as a hash."""
        if self.token is None:
            return []
        return [Token(f"${TOKEN_VARIABLE}", "control", digest(self.token.get_secret_value()), "")]

    @property
    def guarded(self) -> bool:
        """Whether a token must be presented."""
        return self.token is not None or bool(self.token_file.tokens())


def resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Family and socket address of `host`.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"cannot listen on host {host!r}: {error}; give an address of this machine") from None
    return family, (str(address[0]), int(address[1]))


def check_access(settings: ControlSettings) -> None:
    """Refuse a weak token, or none where other machines can connect.

    Raises
    ------
    InputError
        With the remedy.
    """
    secret = None if settings.token is None else settings.token.get_secret_value()
    if secret is not None and (len(secret) < MIN_TOKEN_LENGTH or not secret.isascii()):
        raise InputError(
            f"${TOKEN_VARIABLE} must have at least {MIN_TOKEN_LENGTH} ASCII characters, got {len(secret)}; "
            'make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    if not settings.guarded and not settings.is_loopback:
        raise InputError(
            f"listening on {settings.host} lets other machines control sessions: make a token with 'bmi-decoder token "
            f"add NAME', or set ${TOKEN_VARIABLE} to a secret of at least {MIN_TOKEN_LENGTH} characters, or use --host "
            "127.0.0.1"
        )
