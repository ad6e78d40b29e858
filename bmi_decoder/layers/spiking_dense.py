"""The unit that spiking transformers are made of: ``LIF(BN(W x + b))``."""

from __future__ import annotations

import torch

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, Stack
from bmi_decoder.layers.lif import Lif, Reset
from bmi_decoder.layers.perceptron import BatchNorm


class SpikingDense(Stack):
    """Weights, batch normalisation where wanted, and leaky integrate-and-fire neurons.

    Where the inputs are whole multiples of a power of two, such as spikes, `finalise` folds the normalisation into
    the weights and makes the currents exact sums: the spikes are then the same in every form of a decoder.

    Parameters
    ----------
    n_in, n : int
    normalise : bool
        Batch normalisation of the currents.
    beta, threshold, reset, per_neuron
        Of the `Lif`.

    Notes
    -----
    State: ``lif.membrane`` (B, n).
    """

    def __init__(
        self, n_in: int, n: int, normalise: bool, beta: float, threshold: float, reset: Reset, per_neuron: bool = True
    ) -> None:
        layers: dict[str, Layer] = {"dense": Dense(n_in, n)}
        if normalise:
            layers["norm"] = BatchNorm(n)
        layers["lif"] = Lif(n, beta, threshold, reset, per_neuron)
        super().__init__(layers)

    @property
    def dense(self) -> Dense:
        """The weights."""
        dense = self.layers["dense"]
        assert isinstance(dense, Dense)
        return dense

    @torch.no_grad()
    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Fold the normalisation, then make the sums exact."""
        if "norm" in self.layers:
            norm = self.layers["norm"]
            assert isinstance(norm, BatchNorm)
            norm.fold_back(self.dense)
        return super().finalise(x_bound, x_step)
