"""Where the control plane keeps its files, and the lock that gives it a data directory alone."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bmi_decoder.errors import BmiError

CODE = Path(__file__).parents[3]
"""Where processes of ours are started, so that they run the code that we run."""

_SHARED_MEMORY = Path("/dev/shm")
_SOCKET_PATH_BYTES = 103
"""Longest address of a Unix socket: 107 bytes on Linux, 103 on macOS."""


@dataclass(frozen=True)
class SessionFiles:
    """The files of one session."""

    folder: Path
    flight: Path
    commands: Path

    @property
    def settings(self) -> Path:
        """What the worker was started with; its path also tells our worker from any other process."""
        return self.folder / "worker.json"

    @property
    def log(self) -> Path:
        """What the worker wrote on standard output and standard error."""
        return self.folder / "worker.log"

    @property
    def pid(self) -> Path:
        """Process id and creation time of the worker."""
        return self.folder / "worker.pid"

    @property
    def recorder(self) -> Path:
        """What the session's recorder was started with."""
        return self.folder / "recorder.json"

    @property
    def recorder_status(self) -> Path:
        """How the recorder fares, or fared last."""
        return self.folder / "recorder.status"

    @property
    def recorder_commands(self) -> Path:
        """Where the recorder takes commands."""
        return self.commands.with_suffix(".rec")

    @property
    def takes_commands(self) -> bool:
        """Whether a socket can stand at `commands`, where a worker takes its commands."""
        return len(os.fsencode(self.commands)) <= _SOCKET_PATH_BYTES

    @property
    def crashed_flight(self) -> Path:
        """The flight recorder of the last worker that died unexpectedly."""
        return self.folder / "crash.flight"

    def keep_crashed_flight(self) -> None:
        """Move a dead worker's flight recorder to disk, where it outlives the next start."""
        if self.flight.exists():
            shutil.move(self.flight, self.crashed_flight)

    def remove(self) -> None:
        """Remove every file of the session."""
        self.flight.unlink(missing_ok=True)
        self.commands.unlink(missing_ok=True)
        self.recorder_commands.unlink(missing_ok=True)
        if self.folder.exists():
            shutil.rmtree(self.folder)


@dataclass(frozen=True)
class DataDirectory:
    """Layout of a data directory.

    Flight recorders are written many times a second, so they stand in shared memory where there is some:
    on a disk, writeback could stall the worker.
    """

    root: Path
    flights: Path | None

    @classmethod
    def create(cls, root: Path, serves: bool = True) -> DataDirectory:
        """Make the folders that are missing.

        Parameters
        ----------
        root : Path
        serves : bool
            Whether workers will be started: who only reads or writes a file makes no folder in shared memory, which
            nobody would remove.

        Raises
        ------
        BmiError
            If the directory cannot be written.
        """
        root = root.expanduser().absolute()
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            root = root.resolve()
            for folder in ("decoders", "uploads", "sessions", "recorded", "recordings", "jobs"):
                (root / folder).mkdir(exist_ok=True)
        except OSError as error:
            raise BmiError(
                f"cannot use data directory {root}: {error.strerror}; give another with --data-dir"
            ) from None
        return cls(root, _private_shared_memory(root) if serves else None)

    @property
    def database(self) -> Path:
        """The store's SQLite file."""
        return self.root / "control.sqlite"

    @property
    def uploads(self) -> Path:
        """Uploads in progress."""
        return self.root / "uploads"

    @property
    def recordings(self) -> Path:
        """Stored recordings."""
        return self.root / "recordings"

    @property
    def jobs(self) -> Path:
        """Folders of the jobs that run."""
        return self.root / "jobs"

    @property
    def keys(self) -> Path:
        """CURVE keys; see `services.keys`."""
        return self.root / "keys"

    def decoder(self, decoder_id: str) -> Path:
        """The bundle of a stored decoder."""
        return self.root / "decoders" / f"{decoder_id}.bmi"

    def recorded(self, session: str) -> Path:
        """Where a session's recorder writes, until the recording is ended and stored."""
        return self.root / "recorded" / session

    def session(self, name: str) -> SessionFiles:
        """The files of a session; the folder may not exist yet."""
        folder = self.root / "sessions" / name
        if self.flights is None:
            return SessionFiles(folder, folder / "flight", folder / "commands")
        # The address of a Unix socket has 107 bytes at most: a digest stands for a name that may have 64.
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        return SessionFiles(folder, self.flights / f"{name}.flight", self.flights / f"{digest}.commands")

    def remove_unfinished_uploads(self, is_stored: Callable[[str], bool]) -> None:
        """Remove what interrupted uploads left.

        Parameters
        ----------
        is_stored : callable
            Whether the store knows a decoder or recording of an id. What became of an upload that it does not know is
            removed too: the control plane was killed between the two.
        """
        for upload in self.uploads.iterdir():
            if upload.stat().st_nlink > 1:
                for path in [*self.recordings.iterdir(), *(self.root / "decoders").iterdir()]:
                    if path.samefile(upload) and not is_stored(path.stem):
                        path.unlink()
            upload.unlink()

    def release_shared_memory(self) -> None:
        """Remove our folder in shared memory, unless a worker still uses it."""
        if self.flights is not None:
            for unfinished in self.flights.glob(".*"):
                unfinished.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.flights.rmdir()


def _private_shared_memory(root: Path) -> Path | None:
    """A folder in shared memory that only this user can write, None if there can be none."""
    if not _SHARED_MEMORY.is_dir():
        return None
    folder = _SHARED_MEMORY / f"bmi-decoder-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return folder if private else None


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold a data directory alone; the kernel lets go of it when the process ends, however it ends.

    Raises
    ------
    BmiError
        If another control plane holds it.
    """
    with (root / "control.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise BmiError(
                f"data directory {root} is in use by another bmi-decoder serve (process {holder}); "
                "stop that one, or give another directory with --data-dir"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
