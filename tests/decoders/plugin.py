"""Decoders as a user's own package could bring them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from bmi_decoder.decoders.decoder import Decoder, Preset
from bmi_decoder.layers.layer import State
from bmi_decoder.machine.builder import Builder, Slot
from bmi_decoder.training.recipe import Recipe


class SmoothDecoder(Decoder):
    """Leaky average of each output's channels, from a learned first value. It has no `lower`: ONNX runs it."""

    name: ClassVar[str] = "smooth"
    summary: ClassVar[str] = "leaky average of a linear readout"
    presets: ClassVar = {"best": Preset({"decay": 0.75}, Recipe(epochs=4, learning_rate=1e-2))}

    def __init__(self, n_channels: int, n_outputs: int, decay: float = 0.75) -> None:
        super().__init__(n_channels, n_outputs, {"decay": decay})
        self.decay = decay
        self.readout = nn.Linear(n_channels, n_outputs)
        self.start = nn.Parameter(torch.full((n_outputs,), 0.25))

    def initial_state(self, batch: int) -> State:
        return {"average": self.start.expand(batch, -1).clone()}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        self.check_input(x, 2)
        average = self.decay * state["average"] + (1 - self.decay) * self.readout(x)
        return average, {"average": average}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        self.check_input(x, 3)
        return super().scan(x, state)

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        self.readout.weight.mul_(scale[:, None])
        self.readout.bias.mul_(scale).add_(shift)
        self.start.mul_(scale).add_(shift)


class LoweredSmoothDecoder(SmoothDecoder):
    """The same with a form for the streaming machine, in two instructions."""

    name: ClassVar[str] = "smooth_lowered"

    def lower(self, builder: Builder, x: Slot) -> Slot:
        weight, bias = (value.detach().numpy() for value in (self.readout.weight, self.readout.bias))
        share = 1 - self.decay
        current = builder.linear(x, share * weight, share * bias)
        return builder.leaky_integrator(
            current, builder.state("average", self.start.detach().numpy()), torch.tensor(self.decay).numpy()
        )
