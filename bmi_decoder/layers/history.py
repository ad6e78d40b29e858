"""The recent past as one wide vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmi_decoder.layers.layer import Layer, State

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class History(Layer):
    """The last `width` bins of all channels one behind the other, the oldest first; zeros before the recording.

    State: ``ring`` (B, width - 1, C), the bins before the current one, oldest first; none where `width` is 1.
    """

    def __init__(self, n: int, width: int) -> None:
        super().__init__()
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"a history takes a whole number of bins, at least 1, got {width}")
        self.n, self.width = n, width

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {"ring": torch.zeros(batch, self.width - 1, self.n)} if self.width > 1 else {}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        if self.width == 1:
            return x, state
        window = torch.cat([state["ring"], x[:, None]], 1)
        return window.flatten(1), {"ring": window[:, 1:]}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins at once."""
        if self.width == 1:
            return x, state
        padded = torch.cat([state["ring"], x], 1)
        bins = padded.unfold(1, self.width, 1)  # (B, T, C, width)
        return bins.transpose(2, 3).flatten(2), {"ring": padded[:, x.shape[1] :]}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.history(x, self.width) if self.width > 1 else x

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """The same numbers."""
        return x_bound, x_step


class SubWindows(Layer):
    """Sums over `count` adjoining sub-windows of `width` bins each, the oldest first; zeros before the recording.

    The output is window-major: all channels of the oldest sub-window, then all of the next.

    State: ``ring`` (B, count * width - 1, C), the bins before the current one, oldest first.
    """

    def __init__(self, n: int, width: int, count: int) -> None:
        super().__init__()
        if not (isinstance(width, int) and isinstance(count, int) and width >= 1 and count >= 1 and width * count > 1):
            raise ValueError(f"sub-windows take whole numbers, together of 2 bins at least, got {count} x {width}")
        self.n, self.width, self.count = n, width, count

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {"ring": torch.zeros(batch, self.width * self.count - 1, self.n)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        window = torch.cat([state["ring"], x[:, None]], 1)
        return window.unflatten(1, (self.count, self.width)).sum(2).flatten(1), {"ring": window[:, 1:]}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins at once."""
        padded = torch.cat([state["ring"], x], 1)
        sums = padded.unfold(1, self.width, 1).sum(-1)
        parts = [sums[:, j * self.width : j * self.width + x.shape[1]] for j in range(self.count)]
        return torch.cat(parts, 2), {"ring": padded[:, x.shape[1] :]}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.sub_windows(x, self.width, self.count)

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Sums stay on the grid."""
        return x_bound * self.width, x_step
