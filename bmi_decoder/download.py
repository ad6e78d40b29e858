"""Files from the web: whole, checked, or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import httpx

from bmi_decoder.errors import BmiError

MAX_BYTES = 16 * 2**30
_TIMEOUT = httpx.Timeout(60.0, connect=20.0)

Progress = Callable[[int, int | None], None]


def download(url: str, path: Path, md5: str, progress: Progress | None = None) -> bool:
    """Fetch a file; it appears under its name only when its checksum is right.

    What has come so far is kept beside it as ``.NAME.part``, and the next call goes on from there if the server
    can.

    Parameters
    ----------
    url : str
        Where it is.
    path : Path
        File to make. One that has the right checksum already is left alone; another is replaced.
    md5 : str
        Checksum, in hexadecimal digits.
    progress : callable, optional
        Called with the bytes that are there and, if known, those that there will be.

    Returns
    -------
    bool
        False if the file was there already.

    Raises
    ------
    BmiError
        If the server cannot be reached or has no such file, the transfer breaks off, the file cannot be
        written, or the checksum is wrong; then what was downloaded is deleted.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        if path.is_file() and md5_of(path) == md5:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with _held(part) as file:
            _transfer(url, file, progress or (lambda done, total: None))
            found = md5_of(part)
            if found != md5:
                part.unlink()
                raise BmiError(
                    f"{url}: the checksum is wrong (md5 {found}, expected {md5}); what came was deleted. "
                    "Try again, or another mirror"
                )
            os.replace(part, path)
    except httpx.HTTPError as error:
        kept = " What has come is kept: run this again to go on." if part.exists() else ""
        raise BmiError(f"{url}: {_reason(error)}.{kept}") from error
    except OSError as error:
        raise BmiError(f"{path}: cannot be written ({error.strerror or error})") from error
    return True


def md5_of(path: Path) -> str:
    """Md5 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _held(part: Path) -> Iterator[FileIO]:
    """The file of a download in progress, for this process alone; an empty one is not left behind."""
    with open(part, "ab", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BmiError(f"{part}: another process is downloading this file; wait for it") from None
        try:
            yield file
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()


def _transfer(url: str, file: FileIO, progress: Progress) -> None:
    have = file.seek(0, os.SEEK_END)
    # Compressed on the way, the bytes that came would be no beginning of the file to go on from.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT) as answer:
        if url.startswith("https:") and answer.url.scheme != "https":
            raise BmiError(f"{url}: the server sends on to {answer.url}, which is not encrypted")
        if have and answer.status_code != httpx.codes.PARTIAL_CONTENT:
            # The server cannot go on in the middle, or the file there is another one now.
            file.truncate(0)
            have = 0
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                answer.close()
                return _transfer(url, file, progress)
        if answer.is_error:
            raise BmiError(f"{url}: the server answers {answer.status_code} ({answer.reason_phrase})")
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        progress(have, total)
        for piece in answer.iter_bytes():
            have += len(piece)
            if have > MAX_BYTES:
                raise BmiError(f"{url}: the file is larger than {MAX_BYTES} bytes")
            file.write(piece)
            progress(have, total)
    os.fsync(file.fileno())
    return None


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "the server does not answer"
    return f"the server cannot be reached or broke off ({error or type(error).__name__})"
