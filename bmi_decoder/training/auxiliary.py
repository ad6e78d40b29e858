"""What a decoder learns beside its kinematics, with what is needed for that alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmi_decoder.errors import InputError
from bmi_decoder.layers.layer import State

if TYPE_CHECKING:
    from bmi_decoder.decoders.decoder import Decoder


@dataclass(frozen=True)
class Window:
    """A window of training, without the bins that only fill the state.

    Parameters
    ----------
    x : Tensor (B, T, C)
        Decoder input before augmentation.
    targets : Tensor (B, T, M)
        What `Auxiliary.targets` made, on the same bins.
    seen : mapping of Tensor (B, T, ...)
        Outputs of the layers in `Auxiliary.taps`.
    """

    x: Tensor
    targets: Tensor
    seen: Mapping[str, Tensor]


class Auxiliary(nn.Module):
    """An objective beside the squared error of the kinematics, and the weights that serve it alone.

    It exists only while training: its weights are trained with the decoder's and kept in checkpoints, and no
    bundle holds them. Subclasses give a loss, or change what a layer passes on, or both.

    Attributes
    ----------
    taps : tuple of str
        Layers of the decoder whose outputs it sees, by their names in the stack; ``outer.inner`` for a layer
        inside another.
    """

    taps: tuple[str, ...] = ()

    def targets(self, y: Tensor) -> Tensor:
        """What it needs of the standardised kinematics y (T, K) of a whole training part, as (T, M)."""
        return y[:, :0]

    def passed_on(self, name: str, value: Tensor) -> Tensor:
        """What goes on in place of the output of layer `name`, (B, T, ...); called in the order of the layers."""
        return value

    def loss(self, window: Window) -> Tensor:
        """A scalar, already weighted against the squared error of the standardised kinematics."""
        return window.x.new_zeros(())


class Objectives(nn.Module):
    """Everything that training minimises: the kinematics' squared error and the losses of auxiliaries.

    Without `kinematics` it is the losses of auxiliaries alone.
    """

    def __init__(self, auxiliaries: Sequence[Auxiliary], kinematics: bool = True) -> None:
        super().__init__()
        self._kinematics = kinematics
        self.auxiliaries = nn.ModuleList(auxiliaries)
        self._widths: list[int] = []
        self._seen: dict[str, Tensor] = {}
        self._taps = {name: partial(self._tap, name) for auxiliary in auxiliaries for name in auxiliary.taps}

    def _parts(self) -> list[Auxiliary]:
        return [auxiliary for auxiliary in self.auxiliaries if isinstance(auxiliary, Auxiliary)]

    def with_targets(self, y: Tensor) -> Tensor:
        """Standardised kinematics (T, K) of a session, and behind them what the auxiliaries need of it, (T, K + M)."""
        columns = [y, *(auxiliary.targets(y) for auxiliary in self._parts())]
        self._widths = [column.shape[1] for column in columns]
        return torch.cat(columns, 1)

    def scan(self, decoder: Decoder, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The decoder's `scan`, with taps where auxiliaries want them."""
        self._seen.clear()
        return decoder.tapped_scan(x, state, self._taps) if self._taps else decoder.scan(x, state)

    def loss(self, estimate: Tensor, x: Tensor, targets: Tensor, settling: int) -> Tensor:
        """The sum of all losses over a window (B, T, ...) but for its first `settling` bins, after its `scan`.

        `x` is the input before augmentation, `targets` what `with_targets` gave.
        """
        own, *others = targets[:, settling:].split(self._widths, -1)
        total = nn.functional.mse_loss(estimate[:, settling:], own) if self._kinematics else estimate.new_zeros(())
        for auxiliary, wanted in zip(self._parts(), others, strict=True):
            seen = {name: self._seen[name][:, settling:] for name in auxiliary.taps}
            total = total + auxiliary.loss(Window(x[:, settling:], wanted, seen))
        return total

    def _tap(self, name: str, value: Tensor) -> Tensor:
        for auxiliary in self._parts():
            if name in auxiliary.taps:
                value = auxiliary.passed_on(name, value)
        self._seen[name] = value
        return value


@torch.no_grad()
def tapped_width(decoder: Decoder, name: str) -> int:
    """Size of a layer's output.

    Raises
    ------
    InputError
        If the decoder has no layer of that name.
    """
    widths = []

    def look(value: Tensor) -> Tensor:
        widths.append(value.shape[-1])
        return value

    was_training = decoder.training
    decoder.eval()
    try:
        decoder.tapped_scan(torch.zeros(1, 1, decoder.n_channels), decoder.initial_state(1), {name: look})
    except LookupError as error:
        raise InputError(f"decoder {decoder.name!r}: {error.args[0]}") from None
    finally:
        decoder.train(was_training)
    return widths[0]
