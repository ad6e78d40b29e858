"""What a worker asks of the operating system so that its deadlines hold, and what it was given."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Callable
from typing import Any

from bmi_decoder.config import RealtimeSettings
from bmi_decoder.rest_models import RealtimeGrant

_MCL_CURRENT, _MCL_FUTURE = 1, 2


def apply_realtime(settings: RealtimeSettings) -> list[RealtimeGrant]:
    """Ask for everything that the settings name, for the calling thread or its process; nothing here raises.

    Threads that this one starts later inherit the processors but, for `priority`, not the scheduling class:
    LSL and ZeroMQ start theirs with the ordinary one.
    """
    wanted: list[tuple[str, Any, Callable[[Any], None]]] = [
        ("cpus", settings.cpus, _affinity),
        ("priority", settings.priority, _fifo),
        ("lock_memory", settings.lock_memory or None, _lock_memory),
    ]
    return [_ask(option, value, ask) for option, value, ask in wanted if value is not None]


def _ask(option: str, value: Any, ask: Callable[[Any], None]) -> RealtimeGrant:
    try:
        ask(value)
    except (OSError, ValueError, AttributeError) as error:
        return RealtimeGrant(option=option, requested=value, granted=False, why=_REMEDIES[option].format(error=error))
    return RealtimeGrant(option=option, requested=value, granted=True)


def _affinity(cpus: tuple[int, ...]) -> None:
    os.sched_setaffinity(0, cpus)


def _fifo(priority: int) -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))


def _lock_memory(_: bool) -> None:
    # Without the future flag where a limit holds: an allocation beyond it would end the process.
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    flags = _MCL_CURRENT | (_MCL_FUTURE if soft == resource.RLIM_INFINITY else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


_REMEDIES = {
    "cpus": "{error}: this machine or container does not have these processors, see 'nproc' and the cpuset",
    "priority": "{error}: give the service CAP_SYS_NICE or a limit, in systemd LimitRTPRIO=99",
    "lock_memory": "{error}: give the service CAP_IPC_LOCK or a limit, in systemd LimitMEMLOCK=infinity",
}
