"""Files that a crash or a power cut leaves whole: as they were, or as they were to be."""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file so that a crash leaves either the old content or the new; it is for this user alone.

    Of two that write the same file at once one would fail: see to it that there is only one.
    """
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _move_durably(temporary, path)


def sync(path: Path) -> None:
    """Wait until a file is on disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def store_durably(source: Path, target: Path) -> None:
    """Give a file that is on disk a second name, for which another file may stand, and make it survive a power cut.

    The first name stays until the store knows of the second, and tells the next control plane if it never did.
    """
    link = target.with_name(target.name + ".new")
    link.unlink(missing_ok=True)
    os.link(source, link)
    _move_durably(link, target)


def _move_durably(source: Path, target: Path) -> None:
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
