"""``python -m services.bench.latency.relay STREAM ENDPOINT``: the floor of a latency measurement.

Does nothing but publish each sample again, as a straightforward Python program would: `pull_sample`, pack, send.
The stamp stands where an estimate has it, see docs/reference/wire.md.
"""

from __future__ import annotations

import struct
import sys

import pylsl
import zmq

_SEARCH_S = 30.0
_ANNOUNCE_S = 0.2


def main(stream: str, endpoint: str) -> None:
    """Relay until terminated."""
    socket = zmq.Context().socket(zmq.PUB)
    socket.bind(endpoint)
    found = pylsl.resolve_byprop("name", stream, timeout=_SEARCH_S)
    if not found:
        sys.exit(f"no stream {stream!r} within {_SEARCH_S:g} s")
    inlet = pylsl.StreamInlet(found[0], max_buflen=1, max_chunklen=1, processing_flags=pylsl.proc_clocksync)
    inlet.open_stream(_SEARCH_S)
    layout = struct.Struct(f"<4s20xd8xI20x{found[0].channel_count()}f")
    while True:
        sample, stamp = inlet.pull_sample(_ANNOUNCE_S)
        if stamp is None:
            socket.send(layout.pack(b"BMIB", 0.0, 0, *[0.0] * found[0].channel_count()))
        else:
            socket.send(layout.pack(b"BMID", stamp, 0, *sample))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
