"""What a layer multiplied: the matrices of its connections and the vectors that went through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Product:
    """A matrix and every vector that it was multiplied with.

    Parameters
    ----------
    weight : Tensor (n_out, n_in)
    inputs : Tensor (..., n_in)
    positions : int
        Vectors that go through the matrix at once, as the places of a convolution do. The others come one after
        the other: their number per bin is how many inner steps the layer takes.
    """

    weight: Tensor
    inputs: Tensor
    positions: int = 1

    @property
    def steps(self) -> float:
        """How often the matrix was used, all positions at once."""
        return self.inputs.numel() / self.inputs.shape[-1] / self.positions

    @property
    def dense(self) -> int:
        """Multiplications if nothing is skipped."""
        return self.weight.numel() * (self.inputs.numel() // self.inputs.shape[-1])

    @property
    def effective(self) -> int:
        """Multiplications in which both numbers differ from zero."""
        arriving = (self.inputs != 0).flatten(0, -2).sum(0, dtype=torch.float64)
        return round(float(arriving @ (self.weight != 0).sum(0, dtype=torch.float64)))


@dataclass(frozen=True)
class Synapses:
    """Connections that count as one: one matrix, or the input and recurrent matrices of a gated cell.

    Parameters
    ----------
    products : tuple of Product
        The first decides the kind: its inputs are spikes where all of them are -1, 0 or 1. None where vectors are
        multiplied with vectors only.
    biases : tuple of Tensor
        What counts as connections besides the matrices: the biases of gated cells, as NeuroBench has it. The
        biases of linear layers do not.
    gates : (int, int)
        Products of two vectors, element by element, inside a gated cell: all of them, and those in which both
        numbers differ from zero.
    vectors : Tensor (..., n), optional
        Without a matrix, what decides the kind: one factor of the products, a row per bin.
    """

    products: tuple[Product, ...]
    biases: tuple[Tensor, ...] = ()
    gates: tuple[int, int] = (0, 0)
    vectors: Tensor | None = None

    @property
    def spiking(self) -> bool:
        """Whether the first product only adds weights: its inputs are -1, 0 or 1."""
        x = self.products[0].inputs if self.products else self.vectors
        return x is not None and bool(((x == 0) | (x.abs() == 1)).all())

    @property
    def steps(self) -> float:
        """How often the connections were used."""
        if self.products or self.vectors is None:
            return self.products[0].steps
        return self.vectors.numel() / self.vectors.shape[-1]

    @property
    def dense(self) -> int:
        """Operations if nothing is skipped."""
        return sum(product.dense for product in self.products) + self.gates[0]

    @property
    def effective(self) -> int:
        """Operations that are not with a zero."""
        return sum(product.effective for product in self.products) + self.gates[1]

    @property
    def connections(self) -> tuple[Tensor, ...]:
        """Everything whose zeros are missing connections."""
        return (*(product.weight for product in self.products), *self.biases)


def own_matrices(module: nn.Module, inner: type[nn.Module]) -> list[str]:
    """Names of parameters and buffers of two or more dimensions that do not lie in a submodule of type `inner`."""

    def walk(part: nn.Module, prefix: str) -> Iterator[str]:
        tensors = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        yield from (prefix + name for name, value in tensors if value.ndim > 1)
        for name, child in part.named_children():
            if not isinstance(child, inner):
                yield from walk(child, f"{prefix}{name}.")

    return list(walk(module, ""))
