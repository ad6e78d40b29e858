"""From a trained torch module to what a bundle holds."""

from __future__ import annotations

import base64
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.weight_quantisation import with_codes
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.program import Program
from bmi_decoder.onnx_executor import INITIAL


def lower(decoder: Decoder) -> Program | None:
    """The decoder as a program; None if it has no form for the streaming machine."""
    builder = Builder(decoder.n_channels)
    try:
        builder.output(decoder.lower(builder, builder.input()))
    except NotImplementedError:
        return None
    return builder.build()


def export_onnx(decoder: Decoder) -> bytes:
    """One step as ONNX: inputs ``x`` and the states, outputs ``y`` and the next states, batch of one.

    States start at zero. One that does not has its first value in the model's metadata, as ``initial.<state>``:
    float32, little-endian, base64.
    """
    state = decoder.initial_state(1)
    wrapper = _Step(decoder, list(state)).eval()
    with warnings.catch_warnings(), torch.no_grad(), tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "step.onnx"
        # The successor (dynamo=True) needs 20 times as long and renames the states.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            wrapper,
            (torch.zeros(1, decoder.n_channels), *state.values()),
            path,
            dynamo=False,
            input_names=["x", *state],
            output_names=["y", *(f"next.{name}" for name in state)],
        )
        model = onnx.load(path)
    initial = {name: value.detach().numpy().astype("<f4").tobytes() for name, value in state.items() if value.any()}
    onnx.helper.set_model_props(
        model, {INITIAL + name: base64.b64encode(data).decode() for name, data in initial.items()}
    )
    return model.SerializeToString()


def export_weights(decoder: Decoder) -> bytes:
    """All parameters and buffers as safetensors; quantised weights in as many bits as they have."""
    return save_safetensors(with_codes(decoder.state_dict(), decoder.row_codes))


class _Step(nn.Module):
    """A step with the state as separate tensors, which is what ONNX knows."""

    def __init__(self, decoder: Decoder, names: Sequence[str]) -> None:
        super().__init__()
        self._decoder, self._names = decoder, names

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        y, following = self._decoder.step(x, dict(zip(self._names, state, strict=True)))
        return y, *(following[name] for name in self._names)
