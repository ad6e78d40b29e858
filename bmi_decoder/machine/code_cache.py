"""Where the machine's compiled code is kept, and who compiles it when it is not there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from bmi_decoder.errors import BmiError
from bmi_decoder.machine.kernels.jit import cache_directory

_ROOT = Path(__file__).parents[2]
_DIGEST_SIZE = hashlib.sha256().digest_size


def code_path() -> Path:
    """The file for this processor: native code may use every instruction that it has."""
    return cache_directory() / f"{_host()}.code"


def is_compiled() -> bool:
    """Whether the machine is ready for this processor; if not, whoever needs it first compiles it.

    Raises
    ------
    BmiError
        If the cache cannot be read.
    """
    return _read(code_path()) is not None


def machine_code() -> bytes:
    """The object file of the compiled machine, compiled now if the cache has none or a damaged one.

    Of several processes that need it at once one compiles, and the others wait.

    Raises
    ------
    BmiError
        If it cannot be compiled, or not be kept.
    """
    path = code_path()
    code = _read(path)
    if code is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = (path.parent / "lock").open("wb")
        except OSError as error:
            raise BmiError(_unwritable(error)) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            code = _read(path)
            if code is None:
                _compile(path)
                code = _read(path)
    if code is None:
        raise BmiError(f"the compiled machine {path} is damaged as soon as it is written; check this disk")
    return code


def write_code(path: Path, code: bytes) -> None:
    """Keep an object file, with a checksum; `path` is there only when all is written."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
            # Who fills the cache may be another user than those who decode.
            os.fchmod(descriptor, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _read(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BmiError(f"cannot read the compiled machine {path}: {error.strerror}") from None
    digest, code = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
    return code if digest == hashlib.sha256(code).digest() else None


def _compile(path: Path) -> None:
    """In a process of its own: the compiler would stay in this one's memory."""
    print("compiling the streaming machine, once", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "bmi_decoder.machine.compile", str(path)]
    done = subprocess.run(command, cwd=_ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise BmiError(f"the streaming machine cannot be compiled: {reason}")


def _unwritable(error: OSError) -> str:
    return (
        f"cannot keep the compiled machine in {error.filename}: {error.strerror}. Set BMI_CACHE_DIR to a directory "
        "that can be written, or fill the cache with 'python -m bmi_decoder.machine.warm' as a user who may"
    )


def _host() -> str:
    """A short name of what the compiler looks at: the processor, and numba's own settings."""
    lines = [platform.machine(), *sorted(f"{key}={value}" for key, value in os.environ.items() if key[:6] == "NUMBA_")]
    try:
        with open("/proc/cpuinfo") as file:
            # The first processor; the speed that it runs at now is no part of what it is.
            for line in file:
                if not line.strip():
                    break
                if "MHz" not in line and "bogomips" not in line.lower():
                    lines.append(line)
    except OSError:
        lines.append(platform.processor())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
