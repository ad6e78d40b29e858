"""A reader in a process of its own: where a library crashes on a file, hangs or takes all memory, that is one error.

What is read comes back in memory that both processes have in common, without a name that could be left behind. The
reader copies it there once; who started it makes no copy.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import os
import pickle
import resource
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from bmi_decoder.errors import BmiError, InputError

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_S = 1800.0
"""A session of hours takes minutes to read; only a reader that hangs takes longer than this."""

_SMALLEST_BYTES = 512 << 20
_MOST_RATIO = 1000
"""Deflate shrinks nothing to less than 1/1032."""

_ALIGNED = 64
_MAIN = "import sys; from bmi_decoder.formats.reader_process import serve; serve(int(sys.argv[1]))"
_PR_SET_PDEATHSIG = 1

is_reader = False
"""Whether this process is one that only reads, so that it needs no other for that."""

memory_bytes: int | None = None
"""Memory that this process may take to read; None outside of a reader process."""


def in_reader_process(
    read: Callable[Concatenate[Path | str, P], T],
) -> Callable[Concatenate[Path | str, P], T]:
    """Let a function of a module, whose first argument is the file, run in a process of its own.

    What it raises and warns of is raised and warned of here; arguments and errors must be picklable. In a reader
    process, it runs as it is.
    """

    @functools.wraps(read)
    def run(path: Path | str, *args: P.args, **kwargs: P.kwargs) -> T:
        if is_reader:
            return read(path, *args, **kwargs)
        return ReaderProcess(functools.partial(run, path, *args, **kwargs), path).result()

    return run


class ReaderProcess(Generic[T]):
    """A process that reads one file. It ends with this one, and is not reached by Ctrl-C in a terminal.

    Parameters
    ----------
    read : callable
        Picklable, such as a `functools.partial` of a function of a module.
    path : Path or str
        The file that errors name.
    longest_s : float
        After this time it is ended, and the file refused.
    most_bytes : int, optional
        Memory that it may take; None is a third of this machine's, as the copy needs as much again. A file gets at
        most 512 MiB and a thousand times its own size, which is more than compression can hide.
    niceness : int
        How much lower its priority is than ours.

    Raises
    ------
    BmiError
        If it cannot be started.
    """

    def __init__(
        self,
        read: Callable[[], T],
        path: Path | str,
        longest_s: float = LONGEST_S,
        most_bytes: int | None = None,
        niceness: int = 0,
    ) -> None:
        self._path, self._longest_s = path, longest_s
        self._call = pickle.dumps((os.getpid(), path, _memory_limit(path, most_bytes), niceness, pickle.dumps(read)))
        with contextlib.ExitStack() as undone:
            try:
                self._answer = undone.enter_context(open(os.memfd_create("reader"), "rb"))
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _MAIN, str(self._answer.fileno())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=[self._answer.fileno()],
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(place or os.getcwd() for place in sys.path)},
                )
            except OSError as error:
                raise BmiError(f"{path}: cannot start a process that reads it: {error}") from error
            undone.pop_all()

    def kill(self) -> None:
        """End it, from any thread; `result` then raises an error."""
        self._process.kill()

    def result(self) -> T:
        """Wait for it; once.

        Raises
        ------
        InputError
            If it crashed or was ended, or took too much time or memory.
        BmiError
            If it ended without an answer.
        Exception
            What the reader raised.
        """
        with self._process, self._answer as answer:
            try:
                said, _ = self._process.communicate(self._call, self._longest_s)
            except subprocess.TimeoutExpired:
                raise InputError(
                    f"{self._path}: could not be read within {self._longest_s:g} s; it is damaged, or must be cut "
                    "into parts"
                ) from None
            finally:
                self.kill()
            status = self._process.returncode
            if status < 0:
                raise InputError(f"{self._path}: {_how_it_ended(-status)}")
            if status or not os.fstat(answer.fileno()).st_size:
                last = (said.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
                raise BmiError(f"{self._path}: its reader ended with status {status} and no answer: {last[:500]}")
            sys.stderr.write(said.decode(errors="replace"))
            value, error, warned = _received(answer.fileno())
        for text, category, file, line in warned:
            warnings.warn_explicit(text, category, file, line)
        if error is not None:
            raise error
        result: T = value
        return result


def serve(answer: int) -> None:
    """Be a reader process: take a call from standard input, and write what comes of it to a file descriptor."""
    global is_reader, memory_bytes
    is_reader = True
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    parent, path, most_bytes, niceness, call = pickle.load(sys.stdin.buffer)
    # It may have ended before the kernel knew that we must not outlive it.
    if os.getppid() != parent:
        return
    memory_bytes = most_bytes
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = limits = resource.getrlimit(resource.RLIMIT_AS)
    value: Any = None
    raised: Exception | None = None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            read = pickle.loads(call)
            allowed = _address_space() + most_bytes
            resource.setrlimit(
                resource.RLIMIT_AS, (allowed if hard == resource.RLIM_INFINITY else min(allowed, hard), hard)
            )
            value = read()
        except MemoryError:
            raised = InputError(
                f"{path}: reading it takes more than the {most_bytes / 2**30:.3g} GiB of memory that its reader may "
                "take: it is too large, or damaged; cut the recording into parts, or copy it again"
            )
        except Exception as error:
            raised = _portable(error)
    resource.setrlimit(resource.RLIMIT_AS, limits)
    said = [(str(one.message), one.category, one.filename, one.lineno) for one in warned]
    _send((value, raised, said), answer)
    # To take everything apart that pynwb has loaded costs 0.3 s.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _memory_limit(path: Path | str, most_bytes: int | None) -> int:
    if most_bytes is None:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        most_bytes = max(_SMALLEST_BYTES, machine // 3)
    try:
        size = os.stat(path).st_size
    except (OSError, ValueError):  # the reader says what is wrong with the path
        size = 0
    return min(most_bytes, _SMALLEST_BYTES + _MOST_RATIO * size)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _portable(error: Exception) -> Exception:
    """An error that can be sent, and that says where it was raised if it is none of ours."""
    if not isinstance(error, BmiError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _how_it_ended(number: int) -> str:
    name = signal.Signals(number).name
    if number == signal.SIGKILL:
        return f"its reader was ended by {name}, as this machine does when memory runs out; cut the file into parts"
    return f"the library that reads it crashed on it ({name}), so the file is damaged; copy or export it again"


def _send(answer: Any, descriptor: int) -> None:
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(answer, 5, buffer_callback=buffers.append)
    places = []
    with open(descriptor, "wb") as file:
        for buffer in buffers:
            file.seek(-file.tell() % _ALIGNED, os.SEEK_CUR)
            raw = buffer.raw()
            places.append((file.tell(), raw.nbytes))
            file.write(raw)
        at = file.tell()
        file.write(pickle.dumps((places, head)) + at.to_bytes(8, "little"))


def _received(descriptor: int) -> Any:
    # A private map: its pages are those that were written, until somebody changes an array.
    content = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY))
    places, head = pickle.loads(content[int.from_bytes(content[-8:], "little") :])
    return pickle.loads(head, buffers=[content[start : start + size] for start, size in places])
