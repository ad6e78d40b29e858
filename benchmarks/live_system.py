"""A whole system on loopback, and how its processes are killed and come back: for programs that do that to it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from bmi_decoder.client import ControlClient, ControlError
from bmi_decoder.errors import BmiError
from services.control.storage.places import DataDirectory
from services.processes import Child, free_port

_WELL_S = 60.0
_POLL_S = 0.02


class LiveSystem:
    """A rig, a control plane, and a session that decodes the one by order of the other.

    Parameters
    ----------
    folder : Path
        For everything that is written.
    rig : sequence of str
        What ``bmi-decoder rig`` plays, and options; the stream is added.
    bundles : sequence of Path
        Decoders to upload; the session begins with the first.
    first_rig : sequence of str, optional
        Further options of the first rig.

    Attributes
    ----------
    decoders : list of str
        Their ids.
    """

    def __init__(
        self, folder: Path, rig: Sequence[str], bundles: Sequence[Path], first_rig: Sequence[str] = ()
    ) -> None:
        self.folder, self.places = folder, DataDirectory.create(folder / "data")
        self.port, self.endpoint = free_port(), f"tcp://127.0.0.1:{free_port()}"
        self.client = ControlClient(f"http://127.0.0.1:{self.port}", timeout_s=60.0)
        self.stream, self._plays = f"live-{os.getpid()}", tuple(rig)
        self.rig, self.control = self.new_rig(*first_rig), self._serve()
        until(self.client.healthy, "the control plane answers")
        self.decoders = [self.client.upload_decoder(bundle).id for bundle in bundles]
        self.client.create_session("live", self.stream, self.decoders[0], endpoint=self.endpoint)
        self.client.start_session("live")
        until(self.decodes, "the session decodes")

    def new_rig(self, *options: str) -> Child:
        """Start a rig on the stream; who had one before ends it."""
        arguments = ["-m", "bmi_decoder.cli", "rig", *self._plays, "--stream", self.stream, *options]
        self.rig = Child("rig", arguments, self.folder)
        return self.rig

    def _serve(self) -> Child:
        arguments = ["serve", "--port", str(self.port), "--data-dir", str(self.places.root)]
        return Child("control", ["-m", "bmi_decoder.cli", *arguments], self.folder)

    def decodes(self) -> bool:
        """Whether the session runs, as REST has it, and has new data."""
        try:
            status = self.client.session("live")
        except ControlError:
            return False
        return status.state == "running" and (status.last_bin_age_s or 9.0) < 0.5 and status.bins_decoded > 0

    def records(self) -> bool:
        """Whether it is recorded, as REST has it."""
        try:
            recorder = self.client.recorder("live")
        except ControlError:
            return False
        return recorder is not None and recorder.state == "recording" and not recorder.waiting_for

    def kill_control(self) -> None:
        """And start another one at once."""
        self.control.process.kill()
        self.control.stop()
        self.control = self._serve()

    def kill_worker(self) -> float:
        """Gives when, once there is another one."""
        pid = self.client.session("live").pid
        assert pid is not None
        os.kill(pid, 9)
        killed = time.monotonic()
        until(lambda: self.client.session("live").pid not in (pid, None), "the worker is another one")
        return killed

    def kill_recorder(self) -> float:
        """Gives when."""
        recorder = self.client.recorder("live")
        assert recorder is not None
        os.kill(recorder.pid, 9)
        return time.monotonic()

    def stored(self) -> Path:
        """The file that a killed recorder has left, from the stored recordings."""
        recording = self.client.stop_recording("live").recording
        path = self.folder / "killed.xdf"
        self.client.download_recording(recording.id, path)
        return path

    def left_behind(self) -> list[str]:
        """What is still there when all has been ended."""
        if self.client.recorder("live") is not None:
            self.client.stop_recording("live")
        self.client.stop_session("live")
        self.client.close()
        for child in (self.control, self.rig):
            child.stop()
        alive = [f"process {one.pid}" for one in processes(self.places.root)]
        files = [str(path) for path in (self.places.flights,) if path is not None and path.exists()]
        return [*alive, *files, *map(str, self.places.uploads.iterdir())]

    def end(self) -> None:
        """End whatever still runs."""
        for child in (self.control, self.rig):
            child.stop()
        for process in processes(self.places.root):
            process.kill()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition.

    Raises
    ------
    BmiError
        If it does not come about within a minute.
    """
    deadline = time.monotonic() + _WELL_S
    while not condition():
        if time.monotonic() > deadline:
            raise BmiError(f"after {_WELL_S:g} s it is not so that {what}")
        time.sleep(_POLL_S)


def processes(root: Path) -> list[psutil.Process]:
    """Those whose command line names a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(root) in part for part in process.cmdline()):
                found.append(process)
    return found
