"""How kernels are compiled, and where the compiled code is kept."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numba
import platformdirs

FAST = {"reassoc", "contract", "arcp", "nsz"}
"""Fast-math flags that keep NaN and Inf: a broken sensor must stay visible in the output."""


def _cache_directory() -> str:
    """One directory per version of the machine's sources.

    Numba's own cache looks at the file of the outermost function only, so it would go on using an old kernel
    after an update (numba issue 2517).
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.parent.rglob("*.py")):
        digest.update(source.read_bytes())
    base = os.environ.get("BMI_CACHE_DIR") or platformdirs.user_cache_dir("bmi-decoder")
    return str(Path(base) / f"machine-{digest.hexdigest()[:16]}")


numba.config.CACHE_DIR = _cache_directory()


def kernel(function: Any) -> Any:
    """Compile a kernel whose sums may be reordered and fused.

    It is always inlined into the machine's `run`. Left as a call, it would be the copy in `run`'s own module in a
    process that loads the machine from the cache, but perhaps the one that was compiled by itself in the process
    that filled the cache; and these two may add in different orders.
    """
    return numba.njit(fastmath=FAST, error_model="numpy", cache=True, forceinline=True)(function)


def exact_kernel(function: Any) -> Any:
    """Compile a kernel that rounds after every operation, as torch and ONNX do.

    A spike is a threshold crossing: one fused multiply-add more or less would flip some, and the copies of a
    spiking decoder in torch, ONNX and the machine would drift apart.
    """
    return numba.njit(error_model="numpy", cache=True, forceinline=True)(function)
