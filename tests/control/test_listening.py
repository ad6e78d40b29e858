"""The socket on which `serve` listens."""

from __future__ import annotations

import asyncio
import socket

from services.control.command import _listen


def test_small_answers_are_sent_at_once() -> None:
    """Otherwise each waits 40 ms for an acknowledgement that its reader holds back."""
    assert asyncio.run(_sends_at_once(_listen("127.0.0.1", 0)))


async def _sends_at_once(listening: socket.socket) -> bool:
    accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sending = writer.get_extra_info("socket")
        accepted.set_result(bool(sending.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    async with await asyncio.start_server(answer, sock=listening):
        _, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        found = await asyncio.wait_for(accepted, 10)
        writer.close()
        await writer.wait_closed()
        return found
