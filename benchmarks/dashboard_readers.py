"""Session pages of the dashboard without a browser: ``python benchmarks/dashboard_readers.py URL --pages N``.

Each loads the page, opens its two websockets and reads what comes, but draws nothing: what remains is what the service
does for open pages. Prints ``reading`` when every page has had its first frame; then, for each line on standard input,
one line of JSON: frames and bytes per second of each page since the line before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import aiohttp
import socketio


class Reader:
    """One page.

    Attributes
    ----------
    frames, size : int
        Received on the live websocket; status and events count as bytes but not as frames.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url
        self._controls = socketio.AsyncClient(http_session=http)
        self.frames = self.size = 0

    async def open(self) -> None:
        """Load the page and do what its scripts do first."""
        async with self._http.get(self._url) as answer:
            answer.raise_for_status()
            found = re.search(r"query: .*'client_id': '([^']+)'", await answer.text())
        assert found is not None, "NiceGUI's page looks otherwise now"
        about = {name: str(uuid4()) for name in ("document_id", "tab_id", "old_tab_id")}
        asked = urlencode(about | {"client_id": found[1], "next_message_id": 0, "implicit_handshake": "true"})
        place = urlsplit(self._url)
        path = f"{place.path.partition('/sessions/')[0]}/_nicegui_ws/socket.io"
        await self._controls.connect(
            f"{place.scheme}://{place.netloc}?{asked}", transports=["websocket"], socketio_path=path
        )

    async def read(self) -> None:
        """Receive until the server goes."""
        async with self._http.ws_connect(f"{self._url}/live", max_msg_size=0) as socket:
            async for message in socket:
                self.size += len(message.data)
                self.frames += message.type is aiohttp.WSMsgType.BINARY


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("url", help="of a session page")
    parser.add_argument("--pages", type=int, default=3)
    options = parser.parse_args()
    async with aiohttp.ClientSession() as http:
        readers = [Reader(http, options.url) for _ in range(options.pages)]
        for reader in readers:
            await reader.open()
        reading = [asyncio.create_task(reader.read()) for reader in readers]
        while not all(reader.frames for reader in readers):
            await asyncio.sleep(0.05)
        print("reading", flush=True)
        before = time.monotonic(), [(reader.frames, reader.size) for reader in readers]
        while await asyncio.to_thread(sys.stdin.readline):
            now = time.monotonic(), [(reader.frames, reader.size) for reader in readers]
            per_s = [
                [round((new - old) / (now[0] - before[0]), 1) for new, old in zip(*both, strict=True)]
                for both in zip(now[1], before[1], strict=True)
            ]
            print(json.dumps({"frames_per_s": [f for f, _ in per_s], "bytes_per_s": [b for _, b in per_s]}), flush=True)
            before = now
        for task in reading:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
