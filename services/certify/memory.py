"""Memory that is left, and whether it is paged out."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from services.certify.finding import Finding, judged
from services.certify.limits import Limits


@dataclass(frozen=True)
class MemoryFacts:
    """Bytes."""

    available: int
    total: int
    swap_used: int
    swap_total: int


def memory_facts() -> MemoryFacts:
    """Look."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return MemoryFacts(memory.available, memory.total, swap.used, swap.total)


def check_memory(facts: MemoryFacts, limits: Limits) -> list[Finding]:
    """Judge it."""
    free, swapped = facts.available / 1e9, facts.swap_used / 1e9
    found = f"{free:.1f} of {facts.total / 1e9:.1f} GB available"
    few = free < limits.free_memory_gb
    memory = judged(
        "machine",
        "memory",
        found,
        "fail" if few else None,
        f"end other programs: {limits.free_memory_gb:g} GB must be available, or the system may kill a worker",
        available_gb=free,
    )
    swap = judged(
        "machine",
        "swap",
        f"{swapped:.1f} GB in use" if facts.swap_total else "none",
        "warn" if facts.swap_used else None,
        "a page that was swapped out costs milliseconds: swapoff -a, or realtime.lock_memory",
        used_gb=swapped,
    )
    return [memory, swap]
