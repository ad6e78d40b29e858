"""Layers side by side, and the spiking units that are made of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bmi_decoder.layers.branches import Branches, Combine, Skip
from bmi_decoder.layers.causal_conv import CausalConv
from bmi_decoder.layers.gating import Silu
from bmi_decoder.layers.layer import Layer, Stack
from bmi_decoder.layers.lif import Lif
from bmi_decoder.layers.normalise import Binarise
from bmi_decoder.layers.perceptron import BatchNorm
from bmi_decoder.layers.spiking_attention import SpikingLinearAttention
from bmi_decoder.layers.spiking_dense import SpikingDense
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor


def rows(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def spikes(*shape: int) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(1)) < 0.4).float()


def on_the_machine(layer: Layer, x: Tensor) -> Tensor:
    builder = Builder(x.shape[1])
    builder.output(layer.lower(builder, builder.input()))
    return torch.from_numpy(Executor(builder.build()).run(x.numpy()))


@pytest.mark.parametrize("combine", ["sum", "product", "concatenate"])
def test_branches_are_joined(combine: Combine) -> None:
    torch.manual_seed(0)
    conv, silu = CausalConv(5, 3), Silu()
    layer, x = Branches(combine, {"past": conv, "skip": Skip(), "gate": Stack({"silu": silu})}), rows(2, 30, 5)
    with torch.no_grad():
        past, state = conv.scan(x, conv.initial_state(2))
        parts = [past, x, silu(x)]
        want = {"sum": parts[0] + parts[1] + parts[2], "product": parts[0] * parts[1] * parts[2]}.get(
            combine, torch.cat(parts, -1)
        )
        assert list(layer.initial_state(2)) == ["past.past"]
        for scan in (layer.scan, lambda x, s: Layer.scan(layer, x, s)):
            y, last = scan(x, layer.initial_state(2))
            torch.testing.assert_close(y, want, rtol=0, atol=1e-5)
            assert torch.equal(last["past.past"], state["past"])
        torch.testing.assert_close(on_the_machine(layer, x[0]), want[0], rtol=0, atol=1e-5)


def test_branches_know_what_comes_out() -> None:
    def finalised(combine: Combine, *layers: Layer) -> tuple[float, float]:
        return Branches(combine, {f"b{i}": layer for i, layer in enumerate(layers)}).finalise(4.0, 0.25)

    assert finalised("sum", Skip(), Binarise()) == (5.0, 0.25)
    assert finalised("product", Skip(), Skip()) == (16.0, 0.0625)
    assert finalised("concatenate", Skip(), Binarise()) == (4.0, 0.25)
    assert finalised("sum", Skip(), Silu()) == (float("inf"), 0.0), "real numbers among them make the sum real"


def test_batch_normalisation_folds_into_the_weights_before_it() -> None:
    torch.manual_seed(0)
    layer, x = SpikingDense(8, 40, normalise=True, beta=0.5, threshold=1.0, reset="zero"), spikes(4, 100, 8)
    norm, lif = layer.layers["norm"], layer.layers["lif"]
    assert isinstance(norm, BatchNorm) and isinstance(lif, Lif)
    with torch.no_grad():
        norm.norm.weight.uniform_(0.5, 2)
        norm.norm.bias.uniform_(-1, 1)
        layer.train()
        for _ in range(50):
            layer.scan(x, layer.initial_state(4))
        layer.eval()
        want, _ = layer.scan(x, layer.initial_state(4))
        current = norm(layer.dense.scan(x, {})[0])
        assert layer.finalise(1.0, 1.0) == (1.0, 1.0)
        folded = norm(layer.dense.scan(x, {})[0])
        got, _ = layer.scan(x, layer.initial_state(4))
    torch.testing.assert_close(folded, current, rtol=0, atol=1e-4)
    assert torch.equal(norm(x[..., :1].expand(*x.shape[:2], 40)), x[..., :1].expand(*x.shape[:2], 40)), "now identity"
    assert 0.05 < float(want.mean()) < 0.8
    assert float((got != want).float().mean()) < 1e-3, "rounding may move a spike, not more"


def test_spiking_attention_follows_its_equations() -> None:
    torch.manual_seed(0)
    n, heads = 8, 2
    layer = SpikingLinearAttention(n, heads, (3.0, 9.0), "shifted", True, batch_norm=False, beta=0.5, threshold=0.2)
    layer.finalise(1.0, 1.0)
    x = spikes(1, 80, n)
    p = {name.replace("layers.", ""): value.detach().double() for name, value in layer.named_parameters()}
    w, c = (p[f"inner.attention.parts.query_key.dense.linear.{what}"] for what in ("weight", "bias"))
    membrane, memory, want = torch.zeros(2 * n).double(), torch.zeros(heads, n // heads, n // heads + 1).double(), []
    decay = torch.exp(-1 / torch.tensor([3.0, 9.0]).double())
    fired = 0.0
    for e in x[0].double():
        membrane = torch.where(membrane > 0.2, 0.0, 0.5 * membrane) + w @ e + c
        s = (membrane > 0.2).double()
        fired += float(s.mean()) / 80
        q, k = (s + 1).view(2, heads, n // heads)
        v = (p["inner.attention.parts.value.linear.weight"] @ e).view(heads, n // heads)
        memory = decay[:, None, None] * memory + k[..., None] * torch.cat([v, torch.ones(heads, 1)], 1)[:, None]
        read = torch.einsum("hk,hkv->hv", q, memory)
        o = (read[:, :-1] / (read[:, -1:] + 1e-6)).flatten()
        g = p["inner.gate.dense.linear.weight"] @ e + p["inner.gate.dense.linear.bias"]
        want.append(p["out.linear.weight"] @ (o * g * torch.sigmoid(g)))
    assert 0.1 < fired < 0.9
    with torch.no_grad():
        got, _ = layer.scan(x, layer.initial_state(1))
        on_machine = on_the_machine(layer, x[0])
    torch.testing.assert_close(got[0].double(), torch.stack(want), rtol=0, atol=1e-5)
    torch.testing.assert_close(on_machine.double(), torch.stack(want), rtol=0, atol=1e-5)


def test_heads_must_divide_the_values() -> None:
    with pytest.raises(ValueError, match="10 values do not divide into 4 heads"):
        SpikingLinearAttention(10, 4, (1.0,) * 4, "binary", True, False, 0.5, 1.0)
