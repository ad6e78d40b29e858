"""Threads that wait for disks: few, and not those of other requests, which would wait for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio

_DISK = anyio.CapacityLimiter(4)

Given = TypeVarTuple("Given")
Result = TypeVar("Result")


async def on_disk(work: Callable[[*Given], Result], *arguments: *Given) -> Result:
    """Call what may wait for a disk for long; a caller that is cancelled waits for its end."""
    return await anyio.to_thread.run_sync(work, *arguments, limiter=_DISK)
