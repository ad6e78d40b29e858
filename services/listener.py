"""``python -m services.listener ENDPOINT LOG``: receives estimates and notes when, and nothing else.

A process of its own, so that drawing a table never delays a measured reception.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

from bmi_decoder.client import Subscriber
from bmi_decoder.clock import lsl_clock
from bmi_decoder.wire import ESTIMATE, HEARTBEAT, Estimate
from services.rowlog import RowLogWriter

COLUMNS = ("t_receive", "sequence", "bin_index", "t_source", "flags", "revision", "lost")
"""Before V values of t_valid and V x K outputs."""

_POLL_S = 0.2


def main(endpoint: str, log_path: Path, n_variants: int, n_outputs: int) -> None:
    """Receive until SIGTERM."""
    stopped = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the demo ends us in its order
    log = RowLogWriter(log_path, len(COLUMNS) + n_variants * (1 + n_outputs))
    with Subscriber(endpoint, topics=(ESTIMATE, HEARTBEAT)) as subscriber:
        subscriber.wait_connected(10.0)
        print("connected", flush=True)
        while not stopped:
            message = subscriber.receive(_POLL_S)
            if not isinstance(message, Estimate):
                continue
            t_receive = lsl_clock()
            log.append(
                t_receive,
                message.sequence,
                message.bin_index,
                message.t_source,
                message.flags,
                message.revision,
                subscriber.lost,
                *message.t_valid.tolist(),
                *message.outputs.ravel().tolist(),
            )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
