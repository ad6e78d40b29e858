"""An LSTM with 128 units in ezmsg, LSL to ZeroMQ: ``python ezmsg_lstm.py STREAM ENDPOINT``.

A peer for ``bmi-decoder bench latency --peer``, see docs/how-to/compare-latency.md. It needs the packages of
requirements.txt beside it and nothing of bmi-decoder. Three units in one process: the inlet of ezmsg-lsl with its
defaults (but stamps are left on LSL's clock, and not smoothed), the network, and a ZeroMQ publisher. Torch runs with
one thread. Messages have the key, the stamp and the flags at the places that docs/reference/wire.md gives them; the
rest is zeros and the two outputs.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import AsyncGenerator

import ezmsg.core as ez
import numpy as np
import pylsl
import torch
import zmq
from ezmsg.lsl.inlet import LSLInfo, LSLInletSettings, LSLInletUnit
from ezmsg.util.messages.axisarray import AxisArray
from ezmsg.util.messages.util import replace

HIDDEN, OUTPUTS = 128, 2
HEARTBEAT_S = 0.2
MESSAGE = struct.Struct(f"<4s20xd8xI20x{OUTPUTS}f")


class Network(torch.nn.Module):
    """Normalisation, LSTM, readout: the decoder `lstm` with hidden=128, but for its boxcar and square root."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(n_channels)
        self.lstm = torch.nn.LSTM(n_channels, HIDDEN, batch_first=True)
        self.readout = torch.nn.Linear(HIDDEN, OUTPUTS)

    def forward(
        self, x: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Decode bins (1, T, C) from a state; None is zero."""
        hidden, state = self.lstm(self.norm(x), state)
        return self.readout(hidden), state


class DecoderState(ez.State):
    """The network, made for the first bin's channels, and what it carries from bin to bin."""

    network: Network | None = None
    hidden: tuple[torch.Tensor, torch.Tensor] | None = None


class Decoder(ez.Unit):
    """Bins (T, C) to outputs (T, 2)."""

    STATE = DecoderState

    INPUT = ez.InputStream(AxisArray)
    OUTPUT = ez.OutputStream(AxisArray)

    @ez.subscriber(INPUT, zero_copy=True)
    @ez.publisher(OUTPUT)
    async def decode(self, message: AxisArray) -> AsyncGenerator:
        """Decode what the inlet pulled: one bin, or more if it is late."""
        if message.data.shape[0] == 0:
            return
        if self.STATE.network is None:
            torch.set_num_threads(1)
            torch.manual_seed(0)
            self.STATE.network = Network(message.data.shape[1]).eval()
        x = torch.from_numpy(np.ascontiguousarray(message.data, np.float32))[None]
        with torch.inference_mode():
            y, self.STATE.hidden = self.STATE.network(x, self.STATE.hidden)
        yield self.OUTPUT, replace(message, data=y[0].numpy())


class PublisherSettings(ez.Settings):
    """Where to publish."""

    endpoint: str


class PublisherState(ez.State):
    """The socket, and how many messages it has sent."""

    socket: zmq.Socket | None = None
    published: int = 0


class Publisher(ez.Unit):
    """One message per bin."""

    SETTINGS = PublisherSettings
    STATE = PublisherState

    INPUT = ez.InputStream(AxisArray)

    async def initialize(self) -> None:
        """Bind."""
        self.STATE.socket = zmq.Context.instance().socket(zmq.PUB)
        self.STATE.socket.bind(self.SETTINGS.endpoint)

    @ez.subscriber(INPUT, zero_copy=True)
    async def publish(self, message: AxisArray) -> None:
        """Send the rows of a message."""
        time = message.axes["time"]
        for row, values in enumerate(message.data):
            stamp = time.value(row)
            self.STATE.socket.send(MESSAGE.pack(b"BMID", stamp, 0, *values))
            self.STATE.published += 1

    @ez.task
    async def heartbeat(self) -> None:
        """While nothing comes, say so: the measurement waits until it has heard every lane."""
        seen = -1
        while True:
            if seen == self.STATE.published:
                self.STATE.socket.send(MESSAGE.pack(b"BMIB", 0.0, 0, *[0.0] * OUTPUTS))
            seen = self.STATE.published
            await asyncio.sleep(HEARTBEAT_S)


class System(ez.Collection):
    """Inlet, decoder, publisher."""

    INLET = LSLInletUnit()
    DECODER = Decoder()
    PUBLISHER = Publisher()

    def __init__(self, stream: str, endpoint: str) -> None:
        self.stream, self.endpoint = stream, endpoint
        super().__init__()

    def configure(self) -> None:
        """Hand the settings on."""
        self.INLET.apply_settings(
            LSLInletSettings(info=LSLInfo(name=self.stream), use_lsl_clock=True, processing_flags=pylsl.proc_clocksync)
        )
        self.PUBLISHER.apply_settings(PublisherSettings(self.endpoint))

    def network(self) -> ez.NetworkDefinition:
        """Connect the units."""
        return (
            (self.INLET.OUTPUT_SIGNAL, self.DECODER.INPUT),
            (self.DECODER.OUTPUT, self.PUBLISHER.INPUT),
        )


if __name__ == "__main__":
    ez.run(SYSTEM=System(sys.argv[1], sys.argv[2]))
