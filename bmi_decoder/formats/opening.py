"""The first look at a file, the same for every reader."""

from __future__ import annotations

import os
from pathlib import Path

from bmi_decoder.errors import InputError


def file_head(path: Path, n_bytes: int = 1024) -> bytes:
    """First bytes of a recording file.

    Parameters
    ----------
    path : Path
        A regular file.
    n_bytes : int
        How much to read; a shorter file gives what it has.

    Raises
    ------
    InputError
        If the file is missing, is not a regular file, may not be read, or is empty.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            head = file.read(n_bytes)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: this is a folder; give the recording file inside it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); check the path and its permissions") from error
    if not head:
        raise InputError(f"{path}: the file is empty; copy or export it again")
    return head


def too_large(path: Path) -> InputError:
    """The error for a sound file that there is too little memory for."""
    return InputError(
        f"{path}: the file is too large: reading it takes more memory than there is; cut the recording into parts, or "
        "read it on a machine with more memory"
    )


def _open_without_waiting(path: str, flags: int) -> int:
    # Opening a named pipe would otherwise wait for a writer that may never come.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
