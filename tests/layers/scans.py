"""A layer's `scan` against its `step`, bin by bin."""

from __future__ import annotations

import torch
from torch import Tensor

from bmi_decoder.layers.layer import Layer


def gradients(layer: Layer, x: Tensor, scanned: bool) -> dict[str, Tensor]:
    """Of a fixed random sum of outputs, by the layer's own scan or by autograd through its steps."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y, _ = (layer.scan if scanned else lambda x, s: Layer.scan(layer, x, s))(x, layer.initial_state(len(x)))
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    (y * weight).sum().backward()
    return {"input": x.grad, **{name: p.grad for name, p in layer.named_parameters()}}  # type: ignore[dict-item]
