"""Layers side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from bmi_decoder.layers.layer import Layer, Run, Stack, State
from bmi_decoder.layers.normalise import Pointwise
from bmi_decoder.layers.synapses import Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

Combine = Literal["sum", "product", "concatenate"]


class Skip(Pointwise):
    """The input itself: what a residual connection adds."""

    def forward(self, x: Tensor) -> Tensor:
        """Pass on."""
        return x

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """No instruction."""
        return x

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """The same numbers."""
        return x_bound, x_step


class Branches(Stack):
    """Layers that see the same input, and the sum, the elementwise product or the concatenation of their outputs.

    The state of branch ``name`` is found under ``name.field``, as in a `Stack`. Sums and products are taken from
    the first branch on, in every form of the decoder.
    """

    def __init__(self, combine: Combine, branches: Mapping[str, Layer]) -> None:
        super().__init__(branches)
        if not branches:
            raise ValueError("branches need at least one layer")
        self.combine = combine

    def _through(self, run: Run, x: Tensor, state: State) -> tuple[Tensor, State]:
        outputs: list[Tensor] = []
        following: State = {}
        for name, layer in self._named():
            y, own = run(name, layer, x, self._own(name, state))
            outputs.append(y)
            following.update({f"{name}.{field}": value for field, value in own.items()})
        if self.combine == "concatenate":
            return torch.cat(outputs, -1), following
        return reduce(torch.add if self.combine == "sum" else torch.mul, outputs), following

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Emit all branches, then what joins them."""
        outputs = [layer.lower(builder, x) for _, layer in self._named()]
        if self.combine == "concatenate":
            return builder.concatenate(outputs)
        return reduce(builder.add if self.combine == "sum" else builder.multiply, outputs)

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Finalise every branch with the same input."""
        bounds, steps = zip(*(layer.finalise(x_bound, x_step) for _, layer in self._named()), strict=True)
        if self.combine == "product":
            return math.prod(bounds), math.prod(steps)
        return sum(bounds) if self.combine == "sum" else max(bounds), min(steps)

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """A product of branches is one of vectors, element by element, and no factor of it is zero for good."""
        if self.combine != "product":
            return []
        n = y.numel() * (len(self.layers) - 1)
        return [Synapses((), gates=(n, n), vectors=y)]


class Split(Stack):
    """Layers side by side, each on its own part of the input, and their outputs one behind the other.

    The state of part ``name`` is found under ``name.field``, as in a `Stack`.

    Parameters
    ----------
    sizes : sequence of int
        Elements of the input that each part sees, one part behind the other.
    parts : mapping of Layer
    """

    def __init__(self, sizes: Sequence[int], parts: Mapping[str, Layer]) -> None:
        super().__init__(parts)
        if not parts or len(sizes) != len(parts):
            raise ValueError(f"every part needs a size and there must be one: {len(parts)} parts, {len(sizes)} sizes")
        self.sizes = list(sizes)

    def _through(self, run: Run, x: Tensor, state: State) -> tuple[Tensor, State]:
        outputs: list[Tensor] = []
        following: State = {}
        for (name, layer), part in zip(self._named(), x.split(self.sizes, -1), strict=True):
            y, own = run(name, layer, part, self._own(name, state))
            outputs.append(y)
            following.update({f"{name}.{field}": value for field, value in own.items()})
        return torch.cat(outputs, -1), following

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Emit all parts, then put them one behind the other."""
        parts = zip(self._named(), x.cut(*self.sizes), strict=True)
        return builder.concatenate([layer.lower(builder, part) for (_, layer), part in parts])

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Finalise every part."""
        bounds, steps = zip(*(layer.finalise(x_bound, x_step) for _, layer in self._named()), strict=True)
        return max(bounds), min(steps)
