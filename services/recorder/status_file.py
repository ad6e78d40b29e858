"""The file that says how a recorder fares."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from bmi_decoder.recorder_models import RecorderStatus


class StatusFile(threading.Thread):
    """Keeps the newest status in a file, beside the thread that writes the recording.

    Parameters
    ----------
    path : Path
        Replaced as a whole each time.

    Attributes
    ----------
    trouble : str
        Why it cannot be written; empty when it can.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(name="status file", daemon=True)
        self._path = path
        self._changed = threading.Condition()
        self._newest: RecorderStatus | None = None
        self._writing = self._ended = False
        self.trouble = ""

    def show(self, status: RecorderStatus) -> None:
        """Have a status written soon; one that is older and still waits is left out."""
        with self._changed:
            self._newest = status
            self._changed.notify_all()

    def wait_written(self, timeout_s: float) -> None:
        """Wait until the file holds what was shown, or for `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is None and not self._writing, timeout_s)

    def end(self) -> None:
        """Write what is left, and come to an end."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self.join()

    def run(self) -> None:
        """Write until ended."""
        while (status := self._next()) is not None:
            temporary = self._path.with_name(f".{self._path.name}.new")
            try:
                temporary.write_text(status.model_dump_json())
                os.replace(temporary, self._path)
                self.trouble = ""
            except OSError as error:
                self.trouble = f"cannot write {self._path}: {error.strerror}"

    def _next(self) -> RecorderStatus | None:
        with self._changed:
            self._writing = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._newest is not None or self._ended)
            status, self._newest = self._newest, None
            self._writing = status is not None
            return status
