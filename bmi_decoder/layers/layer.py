"""What a layer is, and a stack of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmi_decoder.layers.synapses import Synapses, own_matrices

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

State = dict[str, Tensor]
"""Named state, each tensor (batch, ...) float32."""

Tap = Callable[[Tensor], Tensor]
"""Sees a layer's output on its way to the next layer, and returns what goes on."""


class Layer(nn.Module):
    """One stage of a decoder: a causal function of the input and its own state.

    A layer without state overrides `step` alone. One with state also gives `initial_state`; one that has a
    faster form over many bins overrides `scan`, which must equal repeated `step`.
    """

    def initial_state(self, batch: int) -> State:
        """State before the first bin."""
        return {}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin: x (B, C) to y (B, N)."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Many bins: x (B, T, C) to y (B, T, N)."""
        outputs = []
        for t in range(x.shape[1]):
            y, state = self.step(x[:, t], state)
            outputs.append(y)
        return torch.stack(outputs, 1), state

    def tapped_scan(self, x: Tensor, state: State, taps: Mapping[str, Tap]) -> tuple[Tensor, State]:
        """`scan` in which the outputs of layers inside this one, by name, go through taps.

        Raises
        ------
        LookupError
            If there is no layer of such a name inside.
        """
        if taps:
            raise LookupError(f"layer {type(self).__name__} has no layer {', '.join(sorted(taps))} inside")
        return self.scan(x, state)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Emit this layer's instructions."""
        raise NotImplementedError(f"{type(self).__name__} has no instruction in the streaming machine")

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Make the parameters ready to deploy, knowing what comes in.

        Parameters
        ----------
        x_bound : float
            Largest magnitude of an input element; infinite where unknown.
        x_step : float
            Inputs are whole multiples of this power of two; 0 where they can be any real number.

        Returns
        -------
        (float, float)
            The same two facts about this layer's output.
        """
        return float("inf"), 0.0

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """The connections that inputs x (B, T, C) went through, from `state` on, to become y (B, T, N).

        What goes through layers inside this one is theirs to declare. Only the matrices that a layer multiplies
        with itself are its own.

        Raises
        ------
        NotImplementedError
            If the layer holds matrices and does not say what they are for.
        """
        matrices = own_matrices(self, Layer)
        if matrices:
            raise NotImplementedError(
                f"layer {type(self).__name__} holds matrices ({', '.join(matrices)}) and declares no synapses, so "
                "its operations cannot be counted; override Layer.synapses"
            )
        return []

    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor | None:
        """What neurons with an activation function that can be zero passed on; None for every other layer."""
        return None

    def inner_steps(self, x: Tensor, y: Tensor, state: State) -> Tensor | None:
        """Inner steps that a spiking layer took in each bin (B, T); None for a layer without them."""
        return None


Run = Callable[[str, Layer, Tensor, State], tuple[Tensor, State]]
"""What a stack does with each of its layers: name, layer, input and own state to output and next state."""


class Stack(Layer):
    """Layers one after the other; the state of layer ``name`` is found under ``name.field``."""

    def __init__(self, layers: Mapping[str, Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(dict(layers))

    def _named(self) -> list[tuple[str, Layer]]:
        return [(name, layer) for name, layer in self.layers.items() if isinstance(layer, Layer)]

    def initial_state(self, batch: int) -> State:
        """State of all layers."""
        return {
            f"{name}.{field}": value
            for name, layer in self._named()
            for field, value in layer.initial_state(batch).items()
        }

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin through all layers."""
        return self._through(lambda name, layer, x, own: layer.step(x, own), x, state)

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Many bins, layer by layer: each runs its fast form over the whole stretch, where x is."""
        return self.tapped_scan(x, state, {})

    def tapped_scan(self, x: Tensor, state: State, taps: Mapping[str, Tap]) -> tuple[Tensor, State]:
        """`scan` with taps behind the layers ``name``, or ``name.inner`` for what is inside them."""
        for tap in taps:
            if tap.partition(".")[0] not in self.layers:
                raise LookupError(f"there is no layer {tap!r}; there are {', '.join(self.layers)}")

        def run(name: str, layer: Layer, x: Tensor, own: State) -> tuple[Tensor, State]:
            inside = {tap[len(name) + 1 :]: see for tap, see in taps.items() if tap.startswith(f"{name}.")}
            y, own = layer.tapped_scan(x, own, inside) if inside else layer.scan(x, own)
            return (taps[name](y) if name in taps else y), own

        return self._through(run, x, {name: value.to(x.device) for name, value in state.items()})

    def _through(self, run: Run, x: Tensor, state: State) -> tuple[Tensor, State]:
        following: State = {}
        for name, layer in self._named():
            x, own = run(name, layer, x, self._own(name, state))
            following.update({f"{name}.{field}": value for field, value in own.items()})
        return x, following

    @staticmethod
    def _own(name: str, state: State) -> State:
        """The part of the state that is layer `name`'s."""
        prefix = f"{name}."
        return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Emit all layers."""
        for _, layer in self._named():
            x = layer.lower(builder, x)
        return x

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Finalise all layers in order."""
        for _, layer in self._named():
            x_bound, x_step = layer.finalise(x_bound, x_step)
        return x_bound, x_step
