"""The energy view of a decoder: operations weighted by the bits of what is multiplied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bmi_decoder.bundle import FLOAT_BITS
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.synapses import Product, Synapses

_MANTISSA = 24


@dataclass
class FixedPoint:
    """The narrowest fixed-point numbers that hold every value seen so far.

    Magnitudes wider than the 24 bits of float32's mantissa are real numbers, of 32 bits.

    Examples
    --------
    >>> seen = FixedPoint()
    >>> seen.take(torch.tensor([0.0, 1.0])); seen.bits
    1
    >>> seen.take(torch.tensor([0.0, 9.0])); seen.bits
    4
    >>> seen.take(torch.tensor([-0.25])); seen.bits
    7
    """

    lowest: int | None = None
    highest: int = 0
    signed: bool = False

    def take(self, x: Tensor) -> None:
        """Widen to hold all elements of x, float32."""
        if self.bits == FLOAT_BITS:
            return
        values = x[x != 0].float()
        if not values.numel():
            return
        mantissa, exponent = torch.frexp(values)
        digits = (mantissa * 2**_MANTISSA).abs().long()
        last = exponent - _MANTISSA + torch.log2((digits & -digits).double()).int()
        low, high = int(last.min()), int(exponent.max())
        self.highest = high if self.lowest is None else max(self.highest, high)
        self.lowest = low if self.lowest is None else min(self.lowest, low)
        self.signed |= bool((values < 0).any())

    @property
    def bits(self) -> int:
        """Magnitude, and one for the sign where there are negative values; 1 where all were 0."""
        if self.lowest is None:
            return 1
        width = self.highest - self.lowest
        return FLOAT_BITS if width > _MANTISSA else width + self.signed


@dataclass
class _Connection:
    """One matrix of a layer, or the element-wise products of a gated cell, summed over the stretch."""

    layer: str
    shape: tuple[int, ...] | None
    weight_bits: int
    inputs: FixedPoint = field(default_factory=FixedPoint)
    steps: float = 0.0
    dense: int = 0
    effective: int = 0

    def figures(self, n_bins: int) -> dict[str, Any]:
        steps, bits = self.steps / n_bins, self.weight_bits * self.inputs.bits
        return {
            "layer": self.layer,
            "shape": None if self.shape is None else list(self.shape),
            "weight_bits": self.weight_bits,
            "activation_bits": self.inputs.bits,
            "inner_steps": steps,
            "bit_budget": steps * bits,
            "macs_per_step": self.dense / self.steps if self.steps else 0.0,
            "activity": self.effective / self.dense if self.dense else 0.0,
            "s_ace": self.dense * bits / n_bins,
            "ns_ace": self.effective * bits / n_bins,
        }


class BitBudget:
    """Gathers what went through the connections of a decoder, and weighs it by bits.

    A connection with b_w bits per weight, whose inputs have b_s bits and come in T inner steps per bin, has the bit
    budget ``BB = T b_w b_s``. With n multiplications per inner step, of which the share fr is not with a zero::

        S-ACE = sum of n BB        NS-ACE = sum of fr n BB        over all connections, per bin

    Notes
    -----
    Shen, Zhao, Li, Li & Zeng 2024, CVPR (arXiv 2311.10802). b_s is measured: the bits of the narrowest fixed-point
    number that holds every input (1 for spikes), 32 for real numbers; T too: how often a matrix is used per bin.
    b_w is that of `Decoder.row_codes` for a matrix that is a parameter or a part of one, and 32 for all others.
    Element-wise products count as connections of 32 bits times 32 bits inside gated cells; elsewhere of 32 bits times
    the bits of one factor (1 for the spikes of attention).
    """

    def __init__(self, decoder: Decoder) -> None:
        prefix = "stack.layers."
        self._names = {id(part): name.replace(prefix, "") or "decoder" for name, part in decoder.named_modules()}
        self._bits = {
            decoder.get_parameter(name).untyped_storage().data_ptr(): codes.bits
            for name, codes in decoder.row_codes.items()
        }
        self._connections: dict[tuple[int, int, int], _Connection] = {}

    def take(self, layer: Layer | Decoder, index: int, synapses: Synapses) -> None:
        """Add what one call of a layer did; `index` tells its synapses apart."""
        for j, product in enumerate(synapses.products):
            connection = self._connection(layer, (id(layer), index, j), product)
            connection.inputs.take(product.inputs)
            connection.steps += product.steps
            connection.dense += product.dense
            connection.effective += product.effective
        dense, effective = synapses.gates
        if dense:
            gates = self._connection(layer, (id(layer), index, -1), None)
            if synapses.vectors is None:
                gates.inputs = FixedPoint(lowest=-FLOAT_BITS)
            else:
                gates.inputs.take(synapses.vectors)
            gates.steps += synapses.steps
            gates.dense += dense
            gates.effective += effective

    def _connection(self, layer: Layer | Decoder, key: tuple[int, int, int], product: Product | None) -> _Connection:
        if key not in self._connections:
            name = self._names[id(layer)]
            if product is None:
                self._connections[key] = _Connection(name, None, FLOAT_BITS)
            else:
                bits = self._bits.get(product.weight.untyped_storage().data_ptr(), FLOAT_BITS)
                self._connections[key] = _Connection(name, tuple(product.weight.shape), bits)
        return self._connections[key]

    def figures(self, n_bins: int) -> dict[str, Any]:
        """Per bin, in total and for each connection.

        Returns
        -------
        dict
            ``s_ace``, ``ns_ace`` and ``bit_budget``, the mean over connections weighted by their multiplications
            per inner step; ``layers``, a list with, of each connection, ``layer``, ``shape`` of the matrix (None for
            the products inside a gated cell), ``weight_bits``, ``activation_bits``, ``inner_steps``, ``bit_budget``,
            ``macs_per_step``, ``activity`` (share of operations that are not with a zero), ``s_ace``, ``ns_ace``.
        """
        rows = [connection.figures(n_bins) for connection in self._connections.values()]
        total = sum(row["s_ace"] for row in rows)
        per_step = sum(row["macs_per_step"] for row in rows)
        return {
            "bit_budget": total / per_step if per_step else 0.0,
            "s_ace": total,
            "ns_ace": sum(row["ns_ace"] for row in rows),
            "layers": rows,
        }
