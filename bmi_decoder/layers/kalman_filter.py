"""Kalman filters: a hidden movement, observed by the channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
import torch
from torch import Tensor, nn

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.synapses import Product, Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class SteadyKalman(Layer):
    """Kalman filter with its final gain: ``z = M z' + K x + k``.

    State: ``z`` (B, n).
    """

    def __init__(self, n_in: int, n: int) -> None:
        super().__init__()
        self.n = n
        self.gain = Dense(n_in, n)
        self.feedback = nn.Linear(n, n, bias=False)
        with torch.no_grad():
            self.feedback.weight.copy_(0.5 * torch.eye(n))

    @torch.no_grad()
    def set_model(
        self, transition: Tensor, noise: Tensor, information: Tensor, precision: Tensor, mean: Tensor
    ) -> None:
        """Take the gain from a model, see `FullKalman`; all in float64.

        The final covariance before an observation solves the discrete algebraic Riccati equation.
        """
        factor = torch.linalg.cholesky(precision + 1e-12 * torch.eye(self.n)).numpy()
        before = scipy.linalg.solve_discrete_are(transition.numpy().T, factor, noise.numpy(), np.eye(self.n))
        prior = torch.from_numpy(before)
        covariance = prior @ torch.linalg.inv(torch.eye(self.n) + precision @ prior)
        self.gain.linear.weight.copy_(covariance @ information)
        self.gain.linear.bias.copy_(-covariance @ information @ mean)
        self.feedback.weight.copy_((torch.eye(self.n) - covariance @ precision) @ transition)

    def initial_state(self, batch: int) -> State:
        """The mean."""
        return {"z": torch.zeros(batch, self.n)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        z = self.feedback(state["z"]) + self.gain.step(x, {})[0]
        return z, {"z": z}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins, the products with channels at once."""
        arriving, z, rows = self.gain.scan(x, {})[0], state["z"], []
        for t in range(x.shape[1]):
            z = self.feedback(z) + arriving[:, t]
            rows.append(z)
        return torch.stack(rows, 1), {"z": z}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Two products and a copy into the state."""
        state = builder.state("kalman.z", np.zeros(self.n))
        z = self.gain.lower(builder, x)
        builder.linear(state, self.feedback.weight.detach().numpy(), onto=z)
        builder.assign(state, z)
        return z

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """The feedback; the gain is a layer of its own."""
        return [Synapses((Product(self.feedback.weight, torch.cat([state["z"][:, None], y[:, :-1]], 1)),))]


class FullKalman(Layer):
    """Kalman filter whose covariance starts at that of all movement, and shrinks as observations come in.

    In the information form, with A the transition, W its noise, J = H' Q^-1 and G = H' Q^-1 H::

        z = A z',    P = A P' A' + W
        P = P (1 + G P)^-1
        z = z + P (J (x - mean) - G z)

    The covariance does not depend on the input, and after some tens of bins this is `SteadyKalman`. It has no
    form for the streaming machine and runs live through ONNX.

    State: ``z`` (B, n) and ``covariance`` (B, n, n).
    """

    prior: Tensor

    def __init__(self, n_in: int, n: int) -> None:
        super().__init__()
        self.n = n
        self.information = Dense(n_in, n)
        self.transition = nn.Parameter(0.5 * torch.eye(n))
        self.noise, self.precision = nn.Parameter(torch.eye(n)), nn.Parameter(torch.eye(n))
        self.register_buffer("prior", torch.eye(n))

    @torch.no_grad()
    def set_model(
        self, transition: Tensor, noise: Tensor, information: Tensor, precision: Tensor, mean: Tensor
    ) -> None:
        """Take over a model with a movement of unit variance."""
        for parameter, value in ((self.transition, transition), (self.noise, noise), (self.precision, precision)):
            parameter.copy_(value)
        self.information.linear.weight.copy_(information)
        self.information.linear.bias.copy_(-information @ mean)

    def initial_state(self, batch: int) -> State:
        """The mean, and the covariance of all movement."""
        return {"z": torch.zeros(batch, self.n), "covariance": self.prior.repeat(batch, 1, 1)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        z = state["z"] @ self.transition.T
        before = self.transition @ state["covariance"] @ self.transition.T + self.noise
        # P (1 + G P)^-1 = ((1 + P G)^-1 P), whose factor on the left is solved for.
        covariance = _solve(torch.eye(self.n) + before @ self.precision, before)
        surprise = self.information.step(x, {})[0] - z @ self.precision.T
        z = z + (covariance @ surprise[:, :, None])[:, :, 0]
        return z, {"z": z, "covariance": covariance}

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """Transition and precision on the state; the covariance's products are not connections."""
        z = torch.cat([state["z"][:, None], y[:, :-1]], 1)
        return [
            Synapses((Product(self.transition, z),)),
            Synapses((Product(self.precision, z @ self.transition.T),)),
        ]


def _solve(a: Tensor, b: Tensor) -> Tensor:
    """``a^-1 b`` of small matrices (B, n, n) by elimination: ONNX has no operator for it.

    Pivots are taken as they come: a is one plus a product of two positive semi-definite matrices.
    """
    n = a.shape[-1]
    rows = list(torch.cat([a, b], 2).unbind(1))
    for i in range(n):
        rows[i] = rows[i] / rows[i][:, i : i + 1]
        for j in range(n):
            if j != i:
                rows[j] = rows[j] - rows[j][:, i : i + 1] * rows[i]
    return torch.stack(rows, 1)[:, :, n:]
