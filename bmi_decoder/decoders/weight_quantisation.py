"""Weights of few bits: whole numbers times one scale per output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

WeightBits = Literal[4, 8]

_TRIED_RANGES = torch.linspace(1.0, 0.4, 25)
"""Largest code's value over the row's largest weight: small weights gain by cutting the largest ones."""

SCALE = ".scale"
"""What is added to a matrix's name, in stored tensors, for its scales."""


@dataclass(frozen=True, eq=False)
class RowCodes:
    """A matrix as ``codes * scale``, one scale per row (output).

    Parameters
    ----------
    codes : Tensor (n_out, ...), int8
        Within plus or minus ``2 ** (bits - 1) - 1``.
    scale : Tensor (n_out,), float32
    bits : int
        4 or 8.
    """

    codes: Tensor
    scale: Tensor
    bits: WeightBits

    @property
    def values(self) -> Tensor:
        """The matrix, float32."""
        return self.codes.float() * self.scale.reshape(-1, *[1] * (self.codes.ndim - 1))

    @property
    def nbytes(self) -> int:
        """Of what `packed` gives."""
        return sum(part.nbytes for part in self.packed())

    def packed(self) -> tuple[Tensor, Tensor]:
        """Codes as they are stored, and scales: int8, or two codes of 4 bits per uint8 (n_out, n), low half first."""
        if self.bits == 8:
            return self.codes, self.scale
        rows = self.codes.flatten(1)
        rows = nn.functional.pad(rows, (0, rows.shape[1] % 2)).to(torch.uint8) & 15
        return rows[:, ::2] | rows[:, 1::2] << 4, self.scale

    @classmethod
    def unpack(cls, stored: Tensor, scale: Tensor, shape: torch.Size, bits: WeightBits) -> RowCodes:
        """From what `packed` gave, for a matrix of this shape.

        Raises
        ------
        ValueError
            If it is not of that shape, or not of these bits.
        """
        n_out = shape[0]
        n = shape.numel() // n_out
        dtype, stored_shape = (torch.int8, shape) if bits == 8 else (torch.uint8, torch.Size((n_out, (n + 1) // 2)))
        if (stored.dtype, stored.shape, scale.dtype, scale.shape) != (dtype, stored_shape, torch.float32, (n_out,)):
            raise ValueError(f"a matrix {tuple(shape)} is stored as {stored.dtype} {tuple(stored.shape)}")
        if bits == 4:
            halves = torch.stack((stored & 15, stored >> 4), -1).flatten(1)[:, :n].to(torch.int8)
            stored = torch.where(halves > 7, halves - 16, halves).reshape(shape)
        return cls(stored, scale, bits)


def matrices(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are quantised: those of two or more dimensions, whose first is the output's."""
    return {name: value for name, value in module.named_parameters() if value.ndim > 1}


def row_codes(weight: Tensor, bits: WeightBits) -> RowCodes:
    """Codes of a matrix with the least squared error of each row among the ranges tried.

    A row's scale is a whole multiple of the last binary digit that its weights have, so its new weights lie on the
    grid of the old ones and none is more than twice as large: sums that `make_sums_exact` made exact remain so.
    """
    rows = weight.detach().flatten(1)
    most = 2 ** (bits - 1) - 1
    grid = _last_digit(rows)
    best = torch.full((len(rows),), torch.inf)
    codes, scale = torch.zeros_like(rows), grid.clone()
    for share in _TRIED_RANGES:
        tried = (torch.round(rows.abs().amax(1) * share / most / grid).clamp(min=1)) * grid
        new = torch.round(rows / tried[:, None]).clamp(-most, most)
        error = (rows - new * tried[:, None]).square().sum(1)
        better = error < best
        best = torch.where(better, error, best)
        scale = torch.where(better, tried, scale)
        codes = torch.where(better[:, None], new, codes)
    return RowCodes(codes.to(torch.int8).reshape(weight.shape), scale, bits)


def _last_digit(rows: Tensor) -> Tensor:
    """The largest power of two of which all elements of a row are whole multiples; 1 for a row of zeros."""
    mantissa, exponent = torch.frexp(rows)
    digits = (mantissa * 2**24).abs().long()
    last = torch.ldexp((digits & -digits).float(), exponent - 24)
    lowest = torch.where(rows == 0, torch.inf, last).amin(1)
    return torch.where(lowest.isinf(), 1.0, lowest)


@torch.no_grad()
def quantise_weights(module: nn.Module, bits: WeightBits) -> dict[str, RowCodes]:
    """Replace every matrix of a finalised decoder by the values of its codes, which are returned by name."""
    found = {}
    for name, weight in matrices(module).items():
        found[name] = row_codes(weight, bits)
        weight.copy_(found[name].values)
    return found


def with_codes(tensors: Mapping[str, Tensor], codes: Mapping[str, RowCodes]) -> dict[str, Tensor]:
    """Tensors to store: matrices as packed codes with their scales, everything else as it is."""
    stored = {name: value.contiguous() for name, value in tensors.items()}
    for name, quantised in codes.items():
        packed, scale = quantised.packed()
        stored |= {name: packed.contiguous(), name + SCALE: scale}
    return stored


def without_codes(
    stored: Mapping[str, Tensor], module: nn.Module, bits: WeightBits
) -> tuple[dict[str, Tensor], dict[str, RowCodes]]:
    """What `with_codes` was given, for a module of the same shape.

    Raises
    ------
    ValueError
        If a matrix is missing or is not stored in codes of these bits.
    """
    tensors, codes = dict(stored), {}
    for name, weight in matrices(module).items():
        if name not in tensors or name + SCALE not in tensors:
            raise ValueError(f"{name} is not stored as codes and scales")
        codes[name] = RowCodes.unpack(tensors[name], tensors.pop(name + SCALE), weight.shape, bits)
        tensors[name] = codes[name].values
    return tensors, codes
