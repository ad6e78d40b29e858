"""Child processes of a command, started in order and ended in reverse."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from bmi_decoder.errors import BmiError

_STOP_TIMEOUT_S = 10.0


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listened on just now, for a child that is told where to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """A child process with its error output in a file.

    It has a session of its own, so that Ctrl-C reaches the command alone, which then ends all in order.
    """

    def __init__(self, name: str, arguments: Sequence[str], log_directory: Path, is_command: bool = False) -> None:
        self.name = name
        self._log = log_directory / f"{name}.log"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                arguments if is_command else [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env=os.environ,
            )

    def next_line(self) -> str:
        """Wait for the next line of output.

        Raises
        ------
        BmiError
            If the process ends without one.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise BmiError(f"{self.name} ended: {self.last_words()}")
        return line.strip()

    def tell(self, line: str) -> None:
        """Write a line to its standard input.

        Raises
        ------
        BmiError
            If it has ended.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.process.wait()
            self.check()

    def check(self) -> None:
        """Raise a BmiError if the process has ended."""
        if self.process.poll() is not None:
            raise BmiError(f"{self.name} ended with status {self.process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its error output."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def stop(self) -> None:
        """End it: politely, then for certain."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP leave a ``with`` block as Ctrl-C does, instead of ending Python where it stands.

    Otherwise children would be left behind. What else the program has for such a signal stays, and outside of the main
    thread nothing is changed. The second one is ignored: it must not cut short what the first has begun.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]

    def leave(signum: int, frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def running(name: str, arguments: Sequence[str], log_directory: Path, is_command: bool = False) -> Iterator[Child]:
    """A child for the length of a ``with`` block, which signals end as they do an exception.

    Parameters
    ----------
    name : str
    arguments : sequence of str
        For the Python interpreter, or a whole command.
    log_directory : Path
        Its error output goes there.
    is_command : bool
        Whether `arguments` name their own program.
    """
    with ended_by_signals():
        child = Child(name, arguments, log_directory, is_command)
        try:
            yield child
        finally:
            child.stop()
