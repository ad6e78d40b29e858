"""Has the disk take what was written, beside the thread that writes."""

from __future__ import annotations

import os
import threading

from services.recorder.file import RecordingFile

_SYNC_S = 1.0


class Syncing(threading.Thread):
    """Syncs a recording once a second, and sees to it that its disk keeps some room.

    A disk that is busy may take seconds over a sync, for which the thread that writes is not to wait: what it has not
    written is what a crash of the recorder costs.

    Parameters
    ----------
    file : RecordingFile
    min_free_bytes : int
        Room that is to stay.

    Attributes
    ----------
    trouble : str
        Why the recording has to end; empty when all is well.
    """

    def __init__(self, file: RecordingFile, min_free_bytes: int) -> None:
        super().__init__(name="syncing", daemon=True)
        self._file, self._min_free_bytes = file.for_syncing(), min_free_bytes
        self._ended = threading.Event()
        self.trouble = ""

    def end(self) -> None:
        """Let the thread come to its end; it is not waited for."""
        self._ended.set()

    def run(self) -> None:
        """Sync until ended, or until the recording has to end."""
        try:
            while not self.trouble and not self._ended.wait(_SYNC_S):
                self.trouble = self._sync()
        finally:
            os.close(self._file)

    def _sync(self) -> str:
        try:
            os.fdatasync(self._file)
            found = os.fstatvfs(self._file)
        except OSError as error:
            return f"the recording ended: {error.strerror}"
        free = found.f_bavail * found.f_frsize
        if free < self._min_free_bytes:
            return (
                f"the recording ended: only {free // 2**20} MiB are free, {self._min_free_bytes // 2**20} are to stay"
            )
        return ""
