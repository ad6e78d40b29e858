"""``python -m services.bench.latency.receiver LOG ENDPOINT ...``: the user of a latency measurement.

One process subscribes to all lanes and notes, per estimate, lane, stamp and moment of reception in a row log.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import zmq

from bmi_decoder.clock import lsl_clock
from bmi_decoder.wire import Flag
from services.rowlog import RowLogWriter

_STAMP_AND_FLAGS = struct.Struct("<24xd8xI")
_FILLED = int(Flag.HELD | Flag.ZEROED)
_ROWS = 1 << 18


def main(log_path: Path, endpoints: Sequence[str]) -> None:
    """Receive until terminated; says ``connected`` once every lane has been heard."""
    context, poller = zmq.Context(), zmq.Poller()
    lanes: dict[zmq.Socket[bytes], float] = {}
    for lane, endpoint in enumerate(endpoints):
        socket = context.socket(zmq.SUB)
        socket.set_hwm(0)
        socket.connect(endpoint)
        socket.subscribe(b"BMI")
        poller.register(socket, zmq.POLLIN)
        lanes[socket] = float(lane)
    log = RowLogWriter(log_path, 3, _ROWS)
    unheard = set(lanes)
    while True:
        for socket, _ in poller.poll():
            message = socket.recv()
            t_receive = lsl_clock()
            if message.startswith(b"BMID"):
                stamp, flags = _STAMP_AND_FLAGS.unpack_from(message)
                if not flags & _FILLED:  # which answers no push
                    log.append(lanes[socket], stamp, t_receive)
            if unheard:
                unheard.discard(socket)
                if not unheard:
                    print("connected", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
