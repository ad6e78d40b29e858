"""A network that runs several steps within each bin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmi_decoder.layers.gru import Gru
from bmi_decoder.layers.layer import Layer, Stack, State, Tap
from bmi_decoder.layers.lif import LeakyReadout, Lif

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class InnerSteps(Layer):
    """Runs `stack` over the parts of each bin's input, from rest, and gives out what it says to the last part.

    The input (n_steps * n_in) is cut into `n_steps` equal parts. No state is left from bin to bin: neurons start
    at rest in every bin.
    """

    def __init__(self, stack: Stack, n_steps: int) -> None:
        super().__init__()
        self.stack, self.n_steps = stack, n_steps

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin, one inner step after the other."""
        y, inner = x, self.stack.initial_state(x.shape[0])
        for part in x.chunk(self.n_steps, 1):
            y, inner = self.stack.step(part, inner)
        return y, state

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins side by side, as if they were lanes."""
        return self._side_by_side(self.stack.scan, x), state

    def tapped_scan(self, x: Tensor, state: State, taps: Mapping[str, Tap]) -> tuple[Tensor, State]:
        """The same; what goes through a tap is (B, T, n_steps, N)."""

        def unfolded(tap: Tap) -> Tap:
            return lambda value: tap(value.unflatten(0, x.shape[:2])).flatten(0, 1)

        inner = {name: unfolded(tap) for name, tap in taps.items()}
        return self._side_by_side(lambda x, state: self.stack.tapped_scan(x, state, inner), x), state

    def _side_by_side(self, scan: Callable[[Tensor, State], tuple[Tensor, State]], x: Tensor) -> Tensor:
        parts = x.flatten(0, 1).unflatten(1, (self.n_steps, -1))
        y, _ = scan(parts, self.stack.initial_state(len(parts)))
        return y[:, -1].unflatten(0, x.shape[:2])

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """The stack's instructions again for every step, on the same weights; memory is cleared in each bin."""
        layers = [layer for layer in self.stack.layers.values() if isinstance(layer, Layer)]
        memory = {layer: builder.zeros(layer.n) for layer in layers if isinstance(layer, Lif | LeakyReadout | Gru)}
        y = x
        for part in x.split(self.n_steps):
            y = part
            for layer in layers:
                if isinstance(layer, Lif | LeakyReadout | Gru):
                    y = layer.lower_onto(builder, y, memory[layer])
                else:
                    y = layer.lower(builder, y)
        return y

    def inner_steps(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """As many as there are parts."""
        return torch.full(y.shape[:2], self.n_steps)

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Finalise the stack."""
        return self.stack.finalise(x_bound, x_step)
