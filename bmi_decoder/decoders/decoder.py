"""The contract that every decoder keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from bmi_decoder.decoders.weight_quantisation import RowCodes, WeightBits, quantise_weights
from bmi_decoder.errors import InputError
from bmi_decoder.layers.layer import Layer, Stack, State, Tap
from bmi_decoder.layers.normalise import Standardise
from bmi_decoder.layers.synapses import Synapses, own_matrices
from bmi_decoder.training.auxiliary import Auxiliary
from bmi_decoder.training.recipe import Recipe

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

L = TypeVar("L", bound=Layer)


@dataclass(frozen=True)
class Preset:
    """Hyper-parameters and training recipe that belong together."""

    hyper_parameters: Mapping[str, Any]
    recipe: Recipe


class Decoder(nn.Module):
    """A streaming decoder: one bin of channels in, kinematics out, O(1) state.

    Subclasses take ``(n_channels, n_outputs, **hyper_parameters)`` and set the class attributes below. Most
    are a stack of layers, see `StackDecoder`; any class with these methods can be registered under the
    entry-point group ``bmi_decoder.decoders``. One without `lower` runs live through its ONNX step.

    Attributes
    ----------
    name : str
        As in ``train --decoder``.
    summary : str
        One line for ``bmi-decoder decoders``.
    presets : mapping
        At least ``best`` (what works on data) and, for a published system, ``paper``.
    closed_form : bool
        Whether training is one call of `fit_closed_form` instead of the loop over a `Recipe`.
    features : str, optional
        The layer from which kinematics are read, which the training loop's own auxiliary readouts see too, see
        `Auxiliary.taps`. None: it has no such layer, and position targets cannot be asked for.
    encoder : str, optional
        The layer whose output is the decoder's encoded input, channel by channel, in which masked pretraining hides
        patches. None: it cannot be pretrained so.
    twins : tuple of str
        Names of decoders of the same topology without spikes, whose parameters `take_twin` takes.
    spiking_twin : str or None
        Name of the decoder of `SpikingRnn` layers that takes the same hyper-parameters and weights and gives the
        same estimates.
    exact : bool, optional
        Whether torch, the streaming machine and ONNX must agree bit for bit. None: if there are spiking layers. False
        where real-valued layers follow the spikes: outputs then agree closely, and the membranes bit for bit.
    hyper_parameters : dict
        What the constructor was given, to build the decoder again from a bundle.
    row_codes : dict of RowCodes
        The matrices of quantised weights, by parameter name; empty for float32 weights.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    presets: ClassVar[Mapping[str, Preset]]
    closed_form: ClassVar[bool] = False
    features: ClassVar[str | None] = None
    encoder: ClassVar[str | None] = None
    twins: ClassVar[tuple[str, ...]] = ()
    spiking_twin: ClassVar[str | None] = None
    exact: ClassVar[bool | None] = None

    def __init__(self, n_channels: int, n_outputs: int, hyper_parameters: Mapping[str, Any]) -> None:
        super().__init__()
        if n_channels < 1 or n_outputs < 1:
            raise InputError(f"a decoder needs channels and outputs, got {n_channels} and {n_outputs}")
        self.n_channels, self.n_outputs = n_channels, n_outputs
        self.hyper_parameters = dict(hyper_parameters)
        self.row_codes: dict[str, RowCodes] = {}

    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        """A preset's hyper-parameters for data of this bin width, counts or channels behind an input filter."""
        return dict(hyper_parameters)

    def initial_state(self, batch: int) -> State:
        """State before the first bin, as an ordered mapping of float32 tensors (batch, ...)."""
        raise NotImplementedError(f"{type(self).__name__} defines no initial_state")

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin: x (B, C) to y (B, K), and the next state."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Many bins from a given state: x (B, T, C) to y (B, T, K). Must equal repeated `step`."""
        outputs = []
        for t in range(x.shape[1]):
            y, state = self.step(x[:, t], state)
            outputs.append(y)
        return torch.stack(outputs, 1), state

    def tapped_scan(self, x: Tensor, state: State, taps: Mapping[str, Tap]) -> tuple[Tensor, State]:
        """`scan` in which the outputs of named layers go through taps, see `Layer.tapped_scan`."""
        if taps:
            raise LookupError(f"{type(self).__name__} has no named layers that could be tapped")
        return self.scan(x, state)

    def auxiliaries(self, are_counts: bool) -> Sequence[Auxiliary]:
        """What it learns beside kinematics, made anew for one training; `are_counts` as in `adapt`."""
        return ()

    def forward(self, x: Tensor) -> Tensor:
        """A whole stretch from the initial state: x (B, T, C) to y (B, T, K)."""
        return self.scan(x, self.initial_state(x.shape[0]))[0]

    def check_input(self, x: Tensor, ndim: int) -> None:
        """Raise an InputError unless x is float32 of (B, C) for `ndim` 2, or (B, T, C) for 3."""
        if torch.onnx.is_in_onnx_export():  # whose shapes are ours, and a check would be traced
            return
        if x.ndim != ndim or x.shape[-1] != self.n_channels or x.dtype != torch.float32:
            wanted = "batch" if ndim == 2 else "batch, bins"
            raise InputError(
                f"decoder {self.name!r} takes float32 ({wanted}, {self.n_channels}), got {x.dtype} {tuple(x.shape)}"
            )

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Emit the decoder's instructions for the streaming machine."""
        raise NotImplementedError(f"{type(self).__name__} has no form for the streaming machine")

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """Connections outside of layers, see `Layer.synapses`; a decoder that is made of layers has none.

        Raises
        ------
        NotImplementedError
            If there are matrices outside of layers.
        """
        matrices = own_matrices(self, Layer)
        if matrices:
            raise NotImplementedError(
                f"decoder {self.name!r} holds matrices outside of layers ({', '.join(matrices)}) and declares no "
                "synapses, so its operations cannot be counted; override Decoder.synapses"
            )
        return []

    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor | None:
        """Outputs of neurons outside of layers, see `Layer.activations`."""
        return None

    def calibrate(self, x: Tensor) -> None:
        """Look at the training input x (T, C) once before training, for fixed statistics."""

    def take_twin(self, twin: Decoder, x: Tensor) -> None:
        """Start from a trained decoder of `twins`, given the training input x (T, C) for which this one is calibrated.

        Raises
        ------
        InputError
            If its sizes are not this decoder's.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no take_twin")

    def fit_closed_form(self, x: Tensor, y: Tensor, validation_x: Tensor, validation_y: Tensor) -> None:
        """Find the parameters from x (T, C) and y (T, K) at once, and settings left open on the validation part.

        What was chosen goes into `hyper_parameters`, so that the decoder can be built again.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no fit_closed_form")

    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold ``y * scale + shift`` into the parameters: training is done on standardised targets."""
        raise NotImplementedError(f"{type(self).__name__} defines no scale_output")

    def finalise(self, x_step: float = 0.0, x_bound: float = float("inf")) -> None:
        """Make the parameters ready to deploy, see `Layer.finalise`. Counts have ``x_step`` 1."""

    def quantise_weights(self, bits: WeightBits) -> None:
        """Round all matrices to so many bits per weight, the last thing after `finalise`; see `row_codes`."""
        self.row_codes = quantise_weights(self, bits)


class StackDecoder(Decoder):
    """A decoder that is a stack of layers and gets the whole contract from it."""

    def __init__(
        self, n_channels: int, n_outputs: int, hyper_parameters: Mapping[str, Any], layers: Mapping[str, Layer]
    ) -> None:
        super().__init__(n_channels, n_outputs, hyper_parameters)
        self.stack = Stack(layers)

    def layer(self, name: str, kind: type[L]) -> L:
        """The layer of that name, which is of that kind."""
        found = self.stack.layers[name]
        assert isinstance(found, kind)
        return found

    def initial_state(self, batch: int) -> State:
        """State of all layers."""
        return self.stack.initial_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin through the stack."""
        self.check_input(x, 2)
        return self.stack.step(x, state)

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Many bins through the stack, layer by layer."""
        self.check_input(x, 3)
        return self.stack.scan(x, state)

    def tapped_scan(self, x: Tensor, state: State, taps: Mapping[str, Tap]) -> tuple[Tensor, State]:
        """The same, with taps behind layers of the stack."""
        self.check_input(x, 3)
        return self.stack.tapped_scan(x, state, taps)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Emit the stack."""
        return self.stack.lower(builder, x)

    def finalise(self, x_step: float = 0.0, x_bound: float = float("inf")) -> None:
        """Finalise the stack."""
        self.stack.finalise(x_bound, x_step)

    @torch.no_grad()
    def calibrate_layer(self, name: str, x: Tensor) -> None:
        """Show a `Standardise` layer its own input, what the layers before it make of x (T, C); others need none."""
        target = self.stack.layers[name]
        if not isinstance(target, Standardise):
            return
        rows = x[None]
        for layer in self.stack.layers.values():
            if layer is target:
                break
            assert isinstance(layer, Layer)
            rows, _ = layer.scan(rows, layer.initial_state(1))
        target.calibrate(rows[0])
