"""One file out of a multipart request, streamed to disk and never held in memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from services.control.rest.problem import Problem, bad_value

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_FIELD = "file"
_ENVELOPE_BYTES = 64 * 1024
_LEAST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Upload:
    """A file that has arrived whole."""

    path: Path
    file_name: str
    sha256: str
    size_bytes: int


@asynccontextmanager
async def received_file(request: Request, folder: Path, limit: int, stall_s: float) -> AsyncIterator[Upload]:
    """Receive the form field `file` into a temporary file, which is removed at the end.

    It may not be on disk yet: that is waited for when it has been looked at, and is to be kept.

    Parameters
    ----------
    request : Request
        A multipart/form-data request.
    folder : Path
        Where the temporary file is made.
    limit : int
        Largest size of the file in bytes.
    stall_s : float
        The upload is given up when it brings less than 64 KiB in this time.

    Raises
    ------
    Problem
        408 if it is that slow, 413 if the file is too large, 422 if the request is not such a form.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise bad_value("body", f"must be multipart/form-data with a field {_FIELD!r}", kind.decode("latin-1"))
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit + _ENVELOPE_BYTES:
        raise _too_large(limit)
    descriptor, name = tempfile.mkstemp(suffix=".part", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            part = _FilePart(file.write, limit)
            parser = MultipartParser(boundary, part.callbacks())
            try:
                async for chunk in timely(request.stream(), stall_s):
                    parser.write(chunk)
            except FormParserError as error:
                raise bad_value("body", f"not a valid multipart form: {error}", None) from None
            except ClientDisconnect:
                raise Problem(400, "the upload was cut short") from None
            part.check_complete()
        yield Upload(path, part.file_name, part.digest.hexdigest(), part.size)
    finally:
        path.unlink(missing_ok=True)


async def timely(chunks: AsyncIterator[bytes], stall_s: float) -> AsyncIterator[bytes]:
    """What comes, as long as it is at least 64 KiB, or the end, in every `stall_s` of waiting for it.

    Raises
    ------
    Problem
        408.
    """
    loop = asyncio.get_running_loop()
    received, due, deadline = 0, _LEAST_BYTES, loop.time() + stall_s
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(chunks, None)
        except TimeoutError:
            detail = f"less than {_LEAST_BYTES // 1024} KiB of the upload came in {stall_s:g} s: it was given up"
            raise Problem(408, detail) from None
        if chunk is None:
            return
        received += len(chunk)
        if received >= due:
            due, deadline = received + _LEAST_BYTES, loop.time() + stall_s
        given = loop.time()
        yield chunk
        deadline += loop.time() - given


def _too_large(limit: int) -> Problem:
    return Problem(413, f"file is larger than {limit:,} bytes, the most that is accepted here", limit_bytes=limit)


class _FilePart:
    """Callbacks of the multipart parser: accepts exactly one field, `file`."""

    def __init__(self, write: Callable[[bytes], object], limit: int) -> None:
        self._write = write
        self._limit = limit
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._seen = False
        self._ended = False
        self.file_name = ""
        self.size = 0
        self.digest = hashlib.sha256()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def check_complete(self) -> None:
        if not self._seen:
            raise bad_value(_FIELD, "required: the form has no such field", None)
        if not self._ended:
            raise bad_value("body", "multipart form is cut short: its closing boundary is missing", None)

    def _begin(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != _FIELD:
            raise bad_value(name or "body", f"unknown field; allowed: {_FIELD}", None, [_FIELD])
        if self._seen:
            raise bad_value(_FIELD, "given twice; upload one file at a time", None)
        self._seen = True
        given = options.get(b"filename", b"").decode("utf-8", "replace").replace("\\", "/")
        self.file_name = given.rsplit("/", 1)[-1][:255]

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.size += end - start
        if self.size > self._limit:
            raise _too_large(self._limit)
        piece = data[start:end]
        self.digest.update(piece)
        self._write(piece)

    def _end(self) -> None:
        self._ended = True
