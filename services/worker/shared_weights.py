"""Weights that workers with the same decoder have in memory once: they share it, and the processor's caches too."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import sys
import tempfile
import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt

_PREFIX = ".weights-"
_WRITABLE_BY_NOBODY = 0o400


def share_weights(weights: npt.NDArray[np.float32], folder: Path) -> npt.NDArray[np.float32]:
    """The same numbers in memory that is shared with whoever asks for them with the same folder.

    They stand in a file of the folder, in shared memory where flight recorders are. Whoever uses it holds a lock on it,
    and the last one removes it; what was left by a worker that was killed is removed by the next.

    Parameters
    ----------
    weights : array (P,) of float32
    folder : Path

    Returns
    -------
    array (P,) of float32
        Read-only; `weights` itself where they cannot be shared.
    """
    content = weights.tobytes()
    if not content:
        return weights
    path = folder / f"{_PREFIX}{hashlib.sha256(content).hexdigest()}"
    try:
        _remove_unused(folder)
        descriptor = _opened(path, content)
        try:
            shared = _mapped(descriptor, content)
        except (OSError, ValueError):
            os.close(descriptor)
            raise
    except (OSError, ValueError) as error:
        print(f"weights are not shared with other workers: {error}", file=sys.stderr, flush=True)
        return weights
    weakref.finalize(shared, _release, descriptor, path)
    return shared


def _mapped(descriptor: int, content: bytes) -> npt.NDArray[np.float32]:
    """The file in memory; raises a ValueError if somebody has changed it."""
    if os.fstat(descriptor).st_size == len(content):
        mapped = mmap.mmap(descriptor, len(content), mmap.MAP_SHARED, mmap.PROT_READ)
        if mapped[:] == content:
            return np.frombuffer(mapped, np.float32)
    raise ValueError("their file has been changed")


def _opened(path: Path, content: bytes) -> int:
    """A descriptor of the file, with a lock that says that it is used."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            _write(path, content)
            continue
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if _is_at(path, descriptor):
            return descriptor
        # Its last user has removed it in between.
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    """It is there only when all is written."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX)
    try:
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            file.write(content)
            file.flush()
            os.fchmod(descriptor, _WRITABLE_BY_NOBODY)
            # Of several who write it at once the first has its way; and ours may have been taken for one that nobody
            # uses before it was locked.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _remove_unused(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            _release(os.open(path, os.O_RDONLY), path)


def _release(descriptor: int, path: Path) -> None:
    """Close the file, and remove it if nobody else uses it."""
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(path, descriptor):
            path.unlink()
    os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
