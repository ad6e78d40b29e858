"""Spiking neurons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.assembler import Assembler, Slot
from bmi_decoder.machine.kernels.resonate import RESONATE_FIRE
from bmi_decoder.machine.kernels.spiking import LEAKY_INTEGRATOR, LIF, PER_NEURON, SCALAR
from bmi_decoder.machine.kernels.synaptic import SYNAPTIC_LIF


class Spiking(Assembler):
    """Spiking neurons."""

    def lif(self, current: Slot, membrane: Slot, beta: npt.ArrayLike, threshold: npt.ArrayLike, reset: int) -> Slot:
        """Leaky integrate-and-fire spikes; `beta` and `threshold` are scalars or one per neuron."""
        y = self.scratch(current.size)
        per_neuron = np.size(beta) > 1 or np.size(threshold) > 1
        shape = (current.size,) if per_neuron else (1,)
        self.emit(
            LIF,
            dst=y,
            current=current,
            membrane=membrane,
            n=current.size,
            beta=self.param(np.broadcast_to(np.ravel(beta), shape)),
            threshold=self.param(np.broadcast_to(np.ravel(threshold), shape)),
            reset=reset,
            sharing=PER_NEURON if per_neuron else SCALAR,
        )
        return y

    def leaky_integrator(self, current: Slot, membrane: Slot, beta: npt.ArrayLike) -> Slot:
        """A membrane without spikes or reset."""
        y = self.scratch(current.size)
        self.emit(
            LEAKY_INTEGRATOR,
            dst=y,
            current=current,
            membrane=membrane,
            n=current.size,
            beta=self.param(beta),
            sharing=PER_NEURON if np.size(beta) > 1 else SCALAR,
        )
        return y

    def synaptic_lif(
        self, drive: Slot, spikes: Slot, membrane: Slot, current: Slot, decays: npt.ArrayLike, order: int
    ) -> Slot:
        """Spiking neurons with a synaptic current; `decays` (3, n) as the kernel takes them. Returns the spikes."""
        self.emit(
            SYNAPTIC_LIF,
            spikes=spikes,
            drive=drive,
            membrane=membrane,
            current=current,
            n=spikes.size,
            decays=self.param(decays),
            order=order,
        )
        return spikes

    def resonate_fire(self, drive: Slot, state: Slot, resonators: npt.ArrayLike) -> Slot:
        """Resonate-and-fire neurons; `drive` and `state` (2 n,) and `resonators` (3, n) as the kernel takes them."""
        y = self.scratch(state.size // 2)
        self.emit(RESONATE_FIRE, dst=y, drive=drive, state=state, n=y.size, resonators=self.param(resonators))
        return y
