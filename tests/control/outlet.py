"""An LSL outlet for tests, in a process of its own: ``python outlet.py NAME N_CHANNELS``."""

import sys
import time

import pylsl

RATE_HZ = 250.0


def main(name: str, n_channels: int) -> None:
    info = pylsl.StreamInfo(name, "spikes", n_channels, RATE_HZ, pylsl.cf_float32, name)
    outlet = pylsl.StreamOutlet(info)
    start = pylsl.local_clock()
    sent = 0
    while True:
        outlet.push_sample([float(sent % 3)] * n_channels, start + sent / RATE_HZ)
        sent += 1
        time.sleep(max(0.0, start + sent / RATE_HZ - pylsl.local_clock()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
