"""The GRU with a normalised memory, and layers that are looked at from outside."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.inner_steps import InnerSteps
from bmi_decoder.layers.layer import Stack
from bmi_decoder.layers.normed_gru import NormedGru
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer() -> NormedGru:
    torch.manual_seed(0)
    made = NormedGru(5, 7, "torch")
    with torch.no_grad():
        made.norm.norm.weight.copy_(torch.linspace(0.5, 2, 7))
        made.norm.norm.bias.copy_(torch.linspace(-1, 1, 7))
    return made


@torch.no_grad()
def reference(made: NormedGru, x: Tensor, h: Tensor) -> Tensor:
    """Torch's own cell and layer normalisation."""
    cell = torch.nn.GRUCell(5, 7)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in made.gru.state_dict().items()})
    outputs = []
    for row in x.unbind(1):
        h = made.norm.norm(cell(row, h))
        outputs.append(h)
    return torch.stack(outputs, 1)


@torch.no_grad()
def test_it_is_torchs_cell_with_the_memory_normalised() -> None:
    made, x, h = layer(), normal(3, 40, 5), normal(3, 7, seed=1)
    y, state = made.scan(x, {"h": h})
    torch.testing.assert_close(y, reference(made, x, h), rtol=0, atol=1e-5)
    torch.testing.assert_close(state["h"], y[:, -1], rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("inner", [False, True], ids=["carried", "from rest in every bin"])
def test_the_machine_remembers_the_same(inner: bool) -> None:
    made = layer()
    outer = InnerSteps(Stack({"gru": made}), 4) if inner else made
    x = normal(1, 30, 20 if inner else 5)
    builder = Builder(x.shape[-1])
    builder.output(outer.lower(builder, builder.input()))
    got = torch.from_numpy(Executor(builder.build()).run(x[0].numpy()))
    rows = x[0].unflatten(1, (4, 5)) if inner else x
    want = reference(made, rows, torch.zeros(len(rows), 7))
    torch.testing.assert_close(got, want[:, -1] if inner else want[0], rtol=0, atol=1e-5)


class TestTaps:
    def stack(self) -> Stack:
        torch.manual_seed(0)
        inner = Stack({"gru": layer(), "dense": Dense(7, 3)})
        return Stack({"network": InnerSteps(inner, 4), "readout": Dense(3, 2)})

    @torch.no_grad()
    def test_they_see_what_layers_give_and_change_nothing(self) -> None:
        stack, x = self.stack(), normal(2, 9, 20)
        seen: dict[str, Tensor] = {}
        taps = {name: lambda v, name=name: seen.setdefault(name, v) for name in ("network", "network.gru", "readout")}
        y, _ = stack.tapped_scan(x, {}, taps)
        torch.testing.assert_close(y, stack.scan(x, {})[0], rtol=0, atol=0)
        assert seen["network.gru"].shape == (2, 9, 4, 7)
        network = stack.layers["network"]
        assert isinstance(network, InnerSteps)
        rows = x.flatten(0, 1).unflatten(1, (4, 5))
        want = reference(network.stack.layers["gru"], rows, torch.zeros(18, 7))  # type: ignore[arg-type]
        torch.testing.assert_close(seen["network.gru"], want.unflatten(0, (2, 9)), rtol=0, atol=1e-5)
        torch.testing.assert_close(seen["network"], network.scan(x, {})[0], rtol=0, atol=0)
        torch.testing.assert_close(seen["readout"], y, rtol=0, atol=0)

    @torch.no_grad()
    def test_what_they_return_goes_on(self) -> None:
        stack, x = self.stack(), normal(2, 9, 20)
        y, _ = stack.tapped_scan(x, {}, {"network": torch.zeros_like})
        readout = stack.layers["readout"]
        assert isinstance(readout, Dense)
        torch.testing.assert_close(y, readout.linear.bias.expand(2, 9, 2), rtol=0, atol=0)

    @pytest.mark.parametrize("name", ["gru", "network.lstm", "readout.linear", ""])
    def test_a_layer_that_is_not_there_is_an_error(self, name: str) -> None:
        with pytest.raises(LookupError):
            self.stack().tapped_scan(normal(1, 2, 20), {}, {name: lambda value: value})
