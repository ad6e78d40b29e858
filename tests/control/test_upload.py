"""How slow an upload may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.control.rest.problem import Problem
from services.control.rest.upload import timely


async def _sent(sizes: list[int], every_s: float) -> AsyncIterator[bytes]:
    for size in sizes:
        await asyncio.sleep(every_s)
        yield bytes(size)


async def _received(sizes: list[int], every_s: float, stall_s: float) -> int:
    return sum([len(chunk) async for chunk in timely(_sent(sizes, every_s), stall_s)])


def test_one_that_goes_on_may_take_as_long_as_it_needs() -> None:
    assert asyncio.run(_received([1 << 16] * 8 + [5], 0.15, 1.0)) == 8 * (1 << 16) + 5


def test_it_is_not_to_blame_for_a_disk_that_is_slow() -> None:
    async def received() -> int:
        size = 0
        async for chunk in timely(_sent([1 << 14] * 4, 0.01), 1.0):
            time.sleep(0.4)  # what is written is waited for
            size += len(chunk)
        return size

    assert asyncio.run(received()) == 1 << 16


def test_one_that_drips_may_not() -> None:
    with pytest.raises(Problem) as given_up:
        asyncio.run(_received([1] * 100, 0.01, 0.1))
    assert given_up.value.status == 408
