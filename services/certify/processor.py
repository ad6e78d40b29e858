"""Processors: governor, clock source, how many, how busy."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from services.certify.finding import Finding, judged

_SYSTEM = Path("/sys/devices/system")
_BUSY = 0.7
"""Load per processor from which a session would have to wait."""

_SLOW_CLOCKS = ("hpet", "acpi_pm", "pit", "jiffies", "refined-jiffies")
"""Each reading of these takes a microsecond or more, or tells milliseconds only."""


@dataclass(frozen=True)
class ProcessorFacts:
    """What Linux says.

    Attributes
    ----------
    governors : tuple of str
        Of the processors that this process may run on, each once; empty where the frequency is not ours to see.
    clock_source : str or None
    usable : int
        Processors that this process may run on.
    load : float
        Runnable processes, mean of the last minute.
    virtual : bool
        Whether this is a virtual machine.
    """

    governors: tuple[str, ...]
    clock_source: str | None
    usable: int
    load: float
    virtual: bool


def processor_facts() -> ProcessorFacts:
    """Look."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    governors = {_text(_SYSTEM / f"cpu/cpu{cpu}/cpufreq/scaling_governor") for cpu in usable}
    return ProcessorFacts(
        tuple(sorted(governor for governor in governors if governor)),
        _text(_SYSTEM / "clocksource/clocksource0/current_clocksource"),
        len(usable),
        os.getloadavg()[0],
        " hypervisor" in (_text(Path("/proc/cpuinfo")) or ""),
    )


def check_processor(facts: ProcessorFacts) -> list[Finding]:
    """Judge it."""
    return [_governor(facts), _clock(facts), _room(facts)]


def _governor(facts: ProcessorFacts) -> Finding:
    if facts.governors:
        slow = [governor for governor in facts.governors if governor != "performance"]
        return judged(
            "machine",
            "CPU governor",
            ", ".join(facts.governors),
            "warn" if slow else None,
            "a clock that has to speed up first is late: cpupower frequency-set -g performance",
            governors=list(facts.governors),
        )
    where = "it is a virtual machine: look on its host" if facts.virtual else "look in the BIOS, or with cpupower"
    return Finding("machine", "CPU governor", "warn", "not visible here", f"{where}", {"governors": []})


def _clock(facts: ProcessorFacts) -> Finding:
    source = facts.clock_source
    if source is None:
        remedy = f"{platform.system()} does not say which clock it reads; certify is made for Linux"
        return Finding("machine", "clock source", "warn", "not visible here", remedy)
    return judged(
        "machine",
        "clock source",
        source,
        "fail" if source in _SLOW_CLOCKS else None,
        "every stamp is slow or coarse: boot with clocksource=tsc, and see in 'dmesg | grep -i clocksource' why the "
        "kernel does not trust it",
        clock_source=source,
    )


def _room(facts: ProcessorFacts) -> Finding:
    per_processor = facts.load / facts.usable
    found = f"load {facts.load:.2f} on {facts.usable} processor{'s' if facts.usable > 1 else ''}"
    busy, few = per_processor > _BUSY, facts.usable < 2
    remedy = "something else is busy here: end it, or give the worker a processor of its own (realtime.cpus)"
    if few and not busy:
        remedy = "worker, LSL and ZeroMQ share one processor: give this machine or container a second"
    figures = {"load": facts.load, "usable": facts.usable}
    return judged("machine", "load", found, "warn" if busy or few else None, remedy, **figures)


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
