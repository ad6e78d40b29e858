"""What the open pages of a session share."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from bmi_decoder.rest_models import SessionStatus
from services.control.context import Control
from services.dashboard import live
from services.dashboard.feeds import SessionFeeds
from services.dashboard.live import SessionLive, Viewer
from services.dashboard.streams import StreamWatch


async def _never(control: Control, name: str) -> SessionStatus:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def _received(viewer: Viewer, n: int) -> list[bytes]:
    frames: list[bytes] = []
    while len(frames) < n:
        message = await asyncio.wait_for(viewer.queue.get(), 10)
        if isinstance(message, bytes):
            frames.append(message)
    return frames


def test_one_frame_for_all_pages_also_while_a_status_waits_for_a_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "current_status", _never)
    monkeypatch.setattr(SessionFeeds, "new", lambda self: {"t": np.zeros(1)})
    following = SessionLive("m1", cast(Control, SimpleNamespace()), cast(StreamWatch, SimpleNamespace()))

    async def watch() -> tuple[list[bytes], list[bytes]]:
        one, other = Viewer(), Viewer()
        following.join(one)
        following.join(other)
        frames = await _received(one, 5), await _received(other, 5)
        assert not following.leave(one) and following.leave(other)
        await following.close()
        return frames

    first, second = asyncio.run(watch())
    assert all(mine is theirs for mine, theirs in zip(first, second, strict=True))


def test_a_page_that_does_not_read_is_cut_off() -> None:
    viewer = Viewer()
    for _ in range(65):
        viewer.put(b"frame")
    assert viewer.queue.get_nowait() is None and viewer.queue.empty()
