"""Attention and state spaces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.assembler import Assembler, Slot
from bmi_decoder.machine.kernels.attention import (
    BINARY,
    LINEAR_ATTENTION,
    NORMALISED,
    PLAIN,
    SHIFTED,
    attention_state_size,
)
from bmi_decoder.machine.kernels.selective_scan import SELECTIVE_SCAN
from bmi_decoder.machine.kernels.self_attention import SPIKING_SELF_ATTENTION, self_attention_size


class SequenceMixing(Assembler):
    """Attention and state spaces."""

    def linear_attention(
        self, x: Slot, heads: int, n_key: int, n_value: int, decay: npt.ArrayLike, shifted: bool, normalised: bool
    ) -> Slot:
        """Decayed linear attention on queries, keys and values (in this order, all heads each); see the kernel."""
        y = self.scratch(heads * n_value)
        size = attention_state_size(heads, n_key, n_value, int(normalised))
        self.emit(
            LINEAR_ATTENTION,
            dst=y,
            src=x,
            state=self.zero_state("attention.state", size),
            heads=heads,
            n_key=n_key,
            n_value=n_value,
            decay=self.param(decay),
            features=SHIFTED if shifted else BINARY,
            normaliser=NORMALISED if normalised else PLAIN,
        )
        return y

    def spiking_self_attention(
        self,
        x: Slot,
        memory: Slot,
        tokens: int,
        heads: int,
        decay: npt.ArrayLike,
        step: float,
        limit: float,
        scale: float,
    ) -> Slot:
        """Self-attention over tokens whose queries, keys and values are spikes; see the kernel."""
        n = x.size // (3 * tokens * heads)
        y = self.scratch(self_attention_size(tokens, heads, n))
        self.emit(
            SPIKING_SELF_ATTENTION,
            dst=y,
            src=x,
            memory=memory,
            tokens=tokens,
            heads=heads,
            n=n,
            decay=self.param(decay),
            grid=self.param([step, limit, scale]),
        )
        return y.cut(tokens * heads * n)[0]

    def selective_scan(
        self, x: Slot, delta: Slot, mixing: Slot, state: Slot, rates: npt.ArrayLike, skip: npt.ArrayLike
    ) -> Slot:
        """A selective state space with `rates` (n, n_state), step sizes ``softplus(delta)`` and B, C in `mixing`.

        `delta` is overwritten; `state` holds n of each of the n_state states.
        """
        y = self.scratch(x.size)
        self.emit(
            SELECTIVE_SCAN,
            dst=y,
            src=x,
            delta=delta,
            mixing=mixing,
            state=state,
            n=x.size,
            n_state=mixing.size // 2,
            rates=self.param(np.transpose(rates)),
            skip=self.param(skip),
        )
        return y
