"""The contract suite passes every decoder that there is, and finds what is wrong with those that are broken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from bmi_decoder.decoders import check_deployed
from bmi_decoder.decoders.check import check_decoder
from bmi_decoder.decoders.check_deployed import DEPLOYED_CHECKS
from bmi_decoder.decoders.check_probe import Trial
from bmi_decoder.decoders.check_torch import TORCH_CHECKS
from bmi_decoder.decoders.decoder import Decoder, Preset, StackDecoder
from bmi_decoder.decoders.registry import decoder_class, decoder_names
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import State
from bmi_decoder.layers.lif import LeakyReadout, Lif
from bmi_decoder.layers.normalise import Quantise
from bmi_decoder.machine.builder import Builder, Slot
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.program import Program
from bmi_decoder.training.export import lower
from bmi_decoder.training.recipe import Recipe
from tests.decoders.plugin import LoweredSmoothDecoder, SmoothDecoder

REGISTERED = [(name, preset) for name in decoder_names() for preset in decoder_class(name).presets]


# Presets differ in their sizes, and the largest take a minute: numbers of channels are tried on one of them.
@pytest.mark.parametrize(
    ("name", "preset", "n_channels"),
    [(name, preset, n) for name, preset in REGISTERED for n in ([2, 7, 96] if preset == "best" else [7])],
)
def test_registered_decoders_keep_the_contract(name: str, preset: str, n_channels: int) -> None:
    cls = decoder_class(name)
    settings = cls.adapt(cls.presets[preset].hyper_parameters, 0.004, are_counts=True)
    check_decoder(lambda: cls(n_channels, 2, **settings), n_bins=150)


@pytest.mark.parametrize("name", decoder_names())
def test_registered_decoders_keep_the_contract_behind_an_input_filter(name: str) -> None:
    cls = decoder_class(name)
    settings = cls.adapt(cls.presets["best"].hyper_parameters, 0.05, are_counts=False)
    check_decoder(lambda: cls(6, 3, **settings), n_bins=100)


@pytest.mark.parametrize("cls", [SmoothDecoder, LoweredSmoothDecoder])
def test_decoders_of_a_users_own_keep_the_contract(cls: type[Decoder]) -> None:
    check_decoder(lambda: cls(5, 2), n_bins=60)


class Spiking(StackDecoder):
    """A sound spiking decoder for the breaks below."""

    name: ClassVar[str] = "spiking"
    summary: ClassVar[str] = "one spiking layer"
    presets: ClassVar = {"best": Preset({}, Recipe())}

    def __init__(self, n_channels: int, n_outputs: int) -> None:
        layers = {
            "encode": Quantise(0.125, 4.0),
            "dense": Dense(n_channels, 12),
            "lif": Lif(12, 0.9, 0.3, "zero"),
            "dense2": Dense(12, n_outputs),
            "readout": LeakyReadout(n_outputs, 0.9, 0.5),
        }
        super().__init__(n_channels, n_outputs, {}, layers)

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        dense = self.stack.layers["dense2"]
        dense.linear.weight.mul_(scale[:, None])
        dense.linear.bias.mul_(scale)


class KeepsSomethingInTheModule(LoweredSmoothDecoder):
    last: Tensor | float = 0.0

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = super().step(x, state)
        y, self.last = y + 0.1 * self.last, y.detach().mean()
        return y, state


class KeepsItInABuffer(LoweredSmoothDecoder):
    def __init__(self, n_channels: int, n_outputs: int, decay: float = 0.75) -> None:
        super().__init__(n_channels, n_outputs, decay)
        self.register_buffer("bins", torch.zeros(()))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        self.bins += 1
        return super().step(x, state)


class ForwardLooksAhead(LoweredSmoothDecoder):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1e-2 * x.mean((1, 2))[:, None, None]


class ScanForgetsItsState(LoweredSmoothDecoder):
    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return super().scan(x, self.initial_state(x.shape[0]))


class ScanReturnsTheFirstState(LoweredSmoothDecoder):
    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return super().scan(x, state)[0], state


class LowersOtherWeights(LoweredSmoothDecoder):
    def lower(self, builder: Builder, x: Slot) -> Slot:
        return builder.affine(super().lower(builder, x), [1.001] * self.n_outputs)


class LowersWithoutItsFirstState(LoweredSmoothDecoder):
    def lower(self, builder: Builder, x: Slot) -> Slot:
        weight, bias = (0.25 * value.detach().numpy() for value in (self.readout.weight, self.readout.bias))
        state = builder.state("average", [0.0] * self.n_outputs)
        return builder.leaky_integrator(builder.linear(x, weight, bias), state, 0.75)


class StepsOtherwiseInOnnx(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = super().step(x, state)
        return (y * 1.001 if torch.onnx.is_in_onnx_export() else y), state


class HasDoubleState(LoweredSmoothDecoder):
    def initial_state(self, batch: int) -> State:
        return {name: value.double() for name, value in super().initial_state(batch).items()}


class HasStateWithoutBatch(LoweredSmoothDecoder):
    def initial_state(self, batch: int) -> State:
        return {"average": self.start.clone()}


class HasNestedState(LoweredSmoothDecoder):
    def initial_state(self, batch: int) -> State:
        return {"all": super().initial_state(batch)}  # type: ignore[dict-item]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, inner = super().step(x, state["all"])  # type: ignore[arg-type]
        return y, {"all": inner}  # type: ignore[dict-item]


class HasStateInATuple(LoweredSmoothDecoder):
    def initial_state(self, batch: int) -> State:
        return tuple(super().initial_state(batch).values())  # type: ignore[return-value]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, inner = super().step(x, {"average": state[0]})  # type: ignore[index]
        return y, tuple(inner.values())  # type: ignore[return-value]


class RenamesItsState(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, following = super().step(x, {"average": next(iter(state.values()))})
        return y, {"mean": following["average"]}


class GivesOutItsOwnState(LoweredSmoothDecoder):
    def initial_state(self, batch: int) -> State:
        return {"average": self.start.detach().expand(batch, -1)}


class MixesLanes(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return super().step(x - 0.1 * x.mean(0), state)


class ChangesItsInput(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        self.check_input(x, 2)
        return super().step(x.sub_(0.5), state)


class ChangesItsState(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, following = super().step(x, state)
        state["average"].copy_(y)
        return y, following


class IsRandom(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = super().step(x, state)
        return y + 1e-6 * torch.rand_like(y), state


class IsMadeAtRandom(LoweredSmoothDecoder):
    made = 0

    def __init__(self, n_channels: int, n_outputs: int, decay: float = 0.75) -> None:
        IsMadeAtRandom.made += 1
        super().__init__(n_channels, n_outputs, decay + 1e-4 * IsMadeAtRandom.made)


class IgnoresItsInput(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return super().step(torch.zeros_like(x), state)


class GivesOneOutputTooMany(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = super().step(x, state)
        return torch.cat([y, y[:, :1]], 1), state


class AcceptsAnything(LoweredSmoothDecoder):
    def check_input(self, x: Tensor, ndim: int) -> None:
        pass


class RefusesWithAnotherError(LoweredSmoothDecoder):
    def check_input(self, x: Tensor, ndim: int) -> None:
        if x.shape[-1] != self.n_channels or x.ndim != ndim or x.dtype != torch.float32:
            raise TypeError("wrong input")


class AcceptsDouble(LoweredSmoothDecoder):
    def check_input(self, x: Tensor, ndim: int) -> None:
        super().check_input(x.float(), ndim)


class ScalesTooMuch(LoweredSmoothDecoder):
    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        self.readout.weight.mul_(scale[:, None] ** 2)


class CannotScale(LoweredSmoothDecoder):
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        pass


class CannotLearn(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = super().step(x, state)
        return y.detach() + 0 * self.start.sum(), state


class HasAnInfiniteGradient(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = super().step(x, state)
        return y + 0 * (x.abs().sum(1, keepdim=True) * self.start * 0).sqrt(), state


class ForgetsAHyperParameter(LoweredSmoothDecoder):
    def __init__(self, n_channels: int, n_outputs: int, decay: float = 0.5) -> None:
        super().__init__(n_channels, n_outputs, decay)
        self.hyper_parameters = {}


class HasAHyperParameterOfItsOwn(LoweredSmoothDecoder):
    def __init__(self, n_channels: int, n_outputs: int, decay: float = 0.75) -> None:
        super().__init__(n_channels, n_outputs, decay)
        self.hyper_parameters["made_in"] = "init"


class HasHyperParametersThatAreNotJson(LoweredSmoothDecoder):
    def __init__(self, n_channels: int, n_outputs: int, decay: float = 0.75) -> None:
        super().__init__(n_channels, n_outputs, decay)
        self.hyper_parameters["decay"] = torch.tensor(decay)


class HasATuple(LoweredSmoothDecoder):
    def __init__(self, n_channels: int, n_outputs: int, decay: float = 0.75, sizes: Any = (3,)) -> None:
        super().__init__(n_channels, n_outputs, decay)
        self.hyper_parameters["sizes"] = sizes


class HidesAWeight(LoweredSmoothDecoder):
    def __init__(self, n_channels: int, n_outputs: int, decay: float = 0.75) -> None:
        super().__init__(n_channels, n_outputs, decay)
        self.hidden = torch.randn(n_outputs)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = super().step(x, state)
        return y * self.hidden, state


class HasNoBestPreset(LoweredSmoothDecoder):
    presets: ClassVar = {"paper": Preset({}, Recipe())}


class HasAPresetThatCannotBeBuilt(LoweredSmoothDecoder):
    presets: ClassVar = {"best": Preset({"hidden": 3}, Recipe())}


class HasARecipeThatIsNone(LoweredSmoothDecoder):
    presets: ClassVar = {"best": Preset({}, {"epochs": 3})}  # type: ignore[arg-type]


class AdaptsBadlyToFilteredInput(LoweredSmoothDecoder):
    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        return dict(hyper_parameters) if are_counts else {"graded": 1}


class AdaptsItsPresetForGood(LoweredSmoothDecoder):
    presets: ClassVar = {"best": Preset({"decay": 0.75}, Recipe())}

    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        hyper_parameters["decay"] = 1 - bin_s  # type: ignore[index]
        return dict(hyper_parameters)


class TakesTheNameOfATrainingSetting(LoweredSmoothDecoder):
    presets: ClassVar = {"best": Preset({"lanes": 0.5}, Recipe())}

    def __init__(self, n_channels: int, n_outputs: int, lanes: float = 0.75) -> None:
        super().__init__(n_channels, n_outputs, lanes)
        self.hyper_parameters = {"lanes": lanes}


class HasNoSummary(LoweredSmoothDecoder):
    summary: ClassVar[str] = ""


class GivesNan(LoweredSmoothDecoder):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = super().step(x, state)
        return y / (x.sum(1, keepdim=True) * 0), state


class SpikesAtOtherTimesInTheMachine(Spiking):
    """By less than the tolerance that others have."""

    def lower(self, builder: Builder, x: Slot) -> Slot:
        return builder.affine(super().lower(builder, x), [1.0 + 1e-6] * self.n_outputs)


BROKEN = {
    KeepsSomethingInTheModule: "something outside the state was kept",
    KeepsItInABuffer: "changes its parameter or buffer 'bins'",
    ForwardLooksAhead: "forward differs from repeated step",
    ScanForgetsItsState: "scan in parts, with its state carried on, differs",
    ScanReturnsTheFirstState: "scan in parts, with its state carried on, differs",
    LowersOtherWeights: "the streaming machine differs from torch",
    LowersWithoutItsFirstState: "the streaming machine differs from torch",
    StepsOtherwiseInOnnx: "the ONNX step differs from torch",
    HasDoubleState: "must be float32",
    HasStateWithoutBatch: "batch first",
    HasNestedState: "must be a tensor",
    HasStateInATuple: "must be a flat mapping",
    RenamesItsState: "the state's fields change",
    GivesOutItsOwnState: "initial_state gives out memory of its own",
    MixesLanes: "a lane alone differs|a NaN in one lane changes the others",
    ChangesItsInput: "step changes its input",
    ChangesItsState: "step changes the state that it was given",
    IsRandom: "the same input and state give another output",
    IsMadeAtRandom: "two decoders made with the same torch seed differ",
    IgnoresItsInput: "does not depend on the input",
    GivesOneOutputTooMany: r"step must give \(3, 2\) float32",
    AcceptsAnything: "must raise an InputError",
    RefusesWithAnotherError: "must raise an InputError; it raises TypeError",
    AcceptsDouble: "step with float64 must raise an InputError; it",
    ScalesTooMuch: "scale_output is off",
    CannotScale: "scale_output is off",
    CannotLearn: "no parameter has a gradient",
    HasAnInfiniteGradient: "a gradient is not finite",
    ForgetsAHyperParameter: "a decoder rebuilt from hyper_parameters|other hyper_parameters",
    HasAHyperParameterOfItsOwn: "do not rebuild the decoder",
    HasHyperParametersThatAreNotJson: "must be plain JSON",
    HasATuple: "must survive JSON",
    HidesAWeight: "rebuilt from hyper_parameters and weights differs",
    HasNoBestPreset: "presets must have 'best'",
    HasAPresetThatCannotBeBuilt: "preset 'best' cannot be built",
    HasARecipeThatIsNone: "must have a Recipe",
    AdaptsBadlyToFilteredInput: "preset 'best' cannot be built for 0.004 s bins of filtered channels",
    AdaptsItsPresetForGood: "adapt changes preset 'best' itself",
    TakesTheNameOfATrainingSetting: "have the names of training settings",
    HasNoSummary: "summary must be one line",
    GivesNan: "not finite",
    SpikesAtOtherTimesInTheMachine: "the streaming machine differs from torch.*; allowed is 0",
}


def make(cls: type[Decoder]) -> Decoder:
    return cls(4, 2, decay=0.6) if cls is ForgetsAHyperParameter else cls(4, 2)  # type: ignore[call-arg]


def test_the_bases_of_the_breaks_are_sound() -> None:
    check_decoder(lambda: LoweredSmoothDecoder(4, 2), n_bins=40)
    check_decoder(lambda: Spiking(4, 2), n_bins=40)


@pytest.mark.parametrize("cls", BROKEN, ids=lambda cls: cls.__name__)
def test_broken_decoders_are_found(cls: type[Decoder]) -> None:
    with pytest.raises(AssertionError, match=BROKEN[cls]):
        check_decoder(lambda: make(cls), n_bins=40)


def test_agreement_bit_for_bit_can_be_asked_for_and_waived() -> None:
    check_decoder(lambda: SpikesAtOtherTimesInTheMachine(4, 2), n_bins=40, exact=False)
    with pytest.raises(AssertionError, match="allowed is 0"):
        check_decoder(lambda: LoweredSmoothDecoder(40, 2), n_bins=40, exact=True)


def test_what_is_made_must_be_a_decoder() -> None:
    with pytest.raises(AssertionError, match="must return a Decoder; got Linear"):
        check_decoder(lambda: torch.nn.Linear(1, 1))  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="at least 20"):
        check_decoder(lambda: SmoothDecoder(4, 2), n_bins=19)


def test_the_caller_keeps_its_random_numbers() -> None:
    torch.manual_seed(7)
    want = torch.rand(3)
    torch.manual_seed(7)
    check_decoder(lambda: SmoothDecoder(4, 2), n_bins=20)
    assert torch.equal(torch.rand(3), want)


@pytest.mark.parametrize("check", [*TORCH_CHECKS, *DEPLOYED_CHECKS])
def test_every_check_says_what_it_checks(check: Any) -> None:
    assert check.__doc__.startswith("Check ")


class RunsAnewInEveryChunk(Executor):
    def run(self, x: Any) -> Any:
        self.reset()
        return super().run(x)


class CannotReset(Executor):
    def reset(self) -> None:
        if not hasattr(self, "started"):
            super().reset()
        self.started = True


class ResetsButForNan(Executor):
    def reset(self) -> None:
        broken = np.isnan(self._arena[: self._n_state])
        super().reset()
        self._arena[: self._n_state][broken] = np.nan


class GivesOutItsState(Executor):
    def state(self) -> Any:
        return self._arena[: self._n_state]


class LoadsNothing(Executor):
    def load_state(self, state: Any) -> None:
        Executor(self.program).load_state(state)


class LoadsAnything(Executor):
    def load_state(self, state: Any) -> None:
        self._arena[: self._n_state] = np.asarray(state, np.float32)[: self._n_state]


class TakesText(Executor):
    def run(self, x: Any) -> Any:
        return super().run(np.asarray(x).astype(np.float32) if np.asarray(x).dtype.kind == "U" else x)


class TakesRows(Executor):
    def run(self, x: Any) -> Any:
        return super().run(np.atleast_2d(x))


BROKEN_ENGINES = {
    RunsAnewInEveryChunk: "outputs depend on chunks",
    CannotReset: "the state after a reset|outputs depend on chunks",
    ResetsButForNan: "the state after a reset and non-finite input",
    GivesOutItsState: "is not that of a fresh engine|a saved state changed|goes on differently",
    LoadsNothing: "goes on differently",
    LoadsAnything: "a state that is too long must raise an InputError; it is accepted",
    TakesText: "text must raise an InputError",
    TakesRows: "a row without a bin axis must raise an InputError",
}


@pytest.mark.parametrize("engine", BROKEN_ENGINES, ids=lambda engine: engine.__name__)
def test_broken_engines_are_found(engine: type[Executor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "engine", lambda trial: engine(lower(trial.decoder)))
    with pytest.raises(AssertionError, match=BROKEN_ENGINES[engine]):
        check_decoder(lambda: LoweredSmoothDecoder(4, 2), n_bins=40)


def test_a_program_that_changes_on_its_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Program.from_bytes

    def changed(data: bytes) -> Program:
        program = read(data)
        program.params[0] += 1e-3
        return program

    monkeypatch.setattr(Program, "from_bytes", changed)
    with pytest.raises(AssertionError, match="a program that was read writes other bytes"):
        check_decoder(lambda: LoweredSmoothDecoder(4, 2), n_bins=40)
    trial = Trial(lambda: LoweredSmoothDecoder(4, 2), "counts", 40, 1e-4, None)
    with pytest.raises(AssertionError, match="differs after a round trip through a bundle"):
        check_deployed.check_bundle(trial)
