"""How kernels are compiled, and where the compiled code is kept.

Nothing here imports numba before a kernel is needed as compiled code: processes that find the machine in the cache do
without the compiler, which would be most of their memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

FAST = {"reassoc", "contract", "arcp", "nsz"}
"""Fast-math flags that keep NaN and Inf: a broken sensor must stay visible in the output."""


def cache_directory() -> Path:
    """One directory per version of the machine's sources and of the compiler.

    Numba's own cache looks at the file of the outermost function only, so it would go on using an old kernel
    after an update (numba issue 2517).
    """
    digest = hashlib.sha256(f"{version('numba')} {version('llvmlite')}".encode())
    for source in sorted(Path(__file__).parent.parent.rglob("*.py")):
        digest.update(source.read_bytes())
    base = os.environ.get("BMI_CACHE_DIR") or platformdirs.user_cache_dir("bmi-decoder")
    return Path(base) / f"machine-{digest.hexdigest()[:16]}"


def compiler() -> Any:
    """The numba module, told to keep what it caches in `cache_directory`."""
    import numba

    numba.config.CACHE_DIR = str(cache_directory())
    return numba


class Kernel:
    """A function that numba compiles when it is first called, or used by another one that is compiled.

    To numba it is the dispatcher that its own decorator would have made.

    Parameters
    ----------
    function : callable
    options : dict
        Of ``numba.njit``.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function, self._options = function, options
        self.__doc__ = function.__doc__

    @cached_property
    def _dispatcher(self) -> Any:
        numba = compiler()
        # Numba knows an intrinsic by the object itself.
        names = self._function.__globals__
        names.update({name: value.made for name, value in names.items() if isinstance(value, Intrinsic)})
        return numba.njit(**self._options)(self._function)

    def __call__(self, *arguments: Any) -> Any:
        """Run it from Python."""
        return self._dispatcher(*arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._dispatcher, name)


class Intrinsic:
    """A function that writes LLVM code, made one of numba's when the first kernel that uses it is compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @cached_property
    def made(self) -> Any:
        """What ``numba.extending.intrinsic`` makes of it."""
        from numba.extending import intrinsic

        return intrinsic(self._function)


def kernel(function: Callable[..., Any]) -> Kernel:
    """Compile a kernel whose sums may be reordered and fused.

    Kernels are always inlined into the machine.
    """
    return Kernel(function, {"fastmath": FAST, "error_model": "numpy", "cache": True, "forceinline": True})


def exact_kernel(function: Callable[..., Any]) -> Kernel:
    """Compile a kernel that rounds after every operation, as torch and ONNX do.

    A spike is a threshold crossing: one fused multiply-add more or less would flip some, and the copies of a
    spiking decoder in torch, ONNX and the machine would drift apart.
    """
    return Kernel(function, {"error_model": "numpy", "cache": True, "forceinline": True})


def intrinsic(function: Callable[..., Any]) -> Any:
    """A function that kernels call, and that writes LLVM code in the place of the call; see ``numba.extending``."""
    return Intrinsic(function)


def scalar_kernel(function: Callable[..., Any]) -> Kernel:
    """Compile a function of one number as part of the kernels that call it, and with their loops."""
    return Kernel(function, {"fastmath": FAST, "inline": "always"})
