"""How fast one core reads memory: what no decoder that has to read its weights can beat."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.kernels.jit import FAST, Kernel

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_L2_BYTES = 1 << 20
_LAST_LEVEL_BYTES = 32 << 20
_LARGEST_BYTES = 256 << 20
_PASSES_BYTES = 16 << 20
_REPEATS = 7


def _sum(values, passes):  # type: ignore[no-untyped-def]
    """Sum an array a number of times; each pass depends on the last, so that none can be left out."""
    total = np.float32(0)
    for _ in range(passes):
        part = np.float32(0)
        for i in range(values.shape[0]):
            part += values[i]
        total = total * np.float32(0.5) + part
        values[0] = total * np.float32(1e-30)
    return total


_read = Kernel(_sum, {"fastmath": FAST, "error_model": "numpy", "cache": True, "nogil": True})


def cache_bytes(level: int) -> int:
    """Size of a data cache of the first core, or of the highest level for 0; a usual size where Linux does not say."""
    found: dict[int, int] = {}
    for folder in _CACHES.glob("index*"):
        if (folder / "type").read_text().strip() != "Instruction":
            text = (folder / "size").read_text().strip()
            found[int((folder / "level").read_text())] = int(text[:-1]) * _UNITS[text[-1]]
    if level == 0:
        return found[max(found)] if found else _LAST_LEVEL_BYTES
    return found.get(level, _L2_BYTES)


@dataclass
class Bandwidth:
    """Measures read bandwidth, again and again during a run.

    Attributes
    ----------
    l2_bytes, memory_bytes : int
        What is read: half of the second-level cache, and more than the last level holds.
    l2, memory : list of float
        What was measured, bytes per second.
    """

    l2_bytes: int = field(default_factory=lambda: cache_bytes(2) // 2)
    memory_bytes: int = field(default_factory=lambda: min(4 * cache_bytes(0), _LARGEST_BYTES))
    l2: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._small, self._large = (np.ones(n // 4, np.float32) for n in (self.l2_bytes, self.memory_bytes))

    def measure(self) -> None:
        """Add one measurement of each; some tens of milliseconds."""
        passes = max(1, _PASSES_BYTES // self.l2_bytes)
        _read(self._small, 2)
        self.l2.append(_rate(self._small, passes))
        self.memory.append(_rate(self._large, 1))

    def l2_us(self, n_bytes: float) -> float:
        """The least time in us that reading so many bytes from the second-level cache takes."""
        return float(n_bytes / np.median(self.l2) * 1e6)

    def memory_us(self, n_bytes: float) -> float:
        """The same, from memory."""
        return float(n_bytes / np.median(self.memory) * 1e6)

    def hot_us(self, n_bytes: float) -> float:
        """The time in us that reading an array of just this size takes again and again, from the cache it fits into."""
        values = np.ones(max(1, round(n_bytes / 4)), np.float32)
        passes = max(1, _PASSES_BYTES // values.nbytes)
        _read(values, 2)
        return float(np.median([values.nbytes / _rate(values, passes) for _ in range(_REPEATS)]) * 1e6)

    def summary(self) -> dict[str, float]:
        """Medians in GB/s, and what they were measured over."""
        return {
            "l2_gb_s": round(float(np.median(self.l2)) / 1e9, 2),
            "memory_gb_s": round(float(np.median(self.memory)) / 1e9, 2),
            "l2_bytes": self.l2_bytes,
            "memory_bytes": self.memory_bytes,
            "measurements": len(self.l2),
        }


def _rate(values: npt.NDArray[np.float32], passes: int) -> float:
    began = time.perf_counter()
    _read(values, passes)
    return values.nbytes * passes / (time.perf_counter() - began)
