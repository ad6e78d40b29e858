"""Legendre memory units made of spiking populations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.cuba import CubaLif
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.exact_sums import Term, make_sums_exact
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.legendre import largest_coefficient, legendre_matrices
from bmi_decoder.layers.lif import Lif
from bmi_decoder.layers.lmu_trace import LmuTrace
from bmi_decoder.layers.normalise import Quantise
from bmi_decoder.layers.synapses import Product, Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

READING_STEP = 2.0**-8
"""Grid on which an analogue memory is read, so that the currents it causes are exact sums."""


class SpikingLegendreUnit(Layer):
    """Populations u, m and h of spiking neurons around a Legendre memory.

    Per bin, a dash marking the bin before::

        su = LIF_u(E_x x + E_h sh' + E_m sm' + b_u)
        sm_j = LIF_m(Abar sm'_j + Bbar su_j)                  for each encoder j, `order` neurons
        sh = LIF_h(W_x x + W_h sh' + W_m sm + b_h)            output

    LIF is `Lif`, or `CubaLif` where `alphas` are given, with subtractive reset. An analogue memory has no neurons::

        m_j = Abar m'_j + Bbar su_j ;      sm_j = m_j rounded to multiples of 1/256

    Parameters
    ----------
    n_in : int
    n_encoders, n_hidden : int
        Neurons of u and h; m has `order` for each of u.
    order : int
        Legendre coefficients per encoder.
    window : float
        Window of the memory in bins.
    betas, thresholds : (float, float, float)
        Initial decay per bin and threshold of u, m and h, learned.
    alphas : (float, float, float), optional
        Initial decays of the synapses of u, m and h, learned; None has no synapses.
    analogue : bool
    bias : bool
        Whether there are b_u and b_h.
    per_neuron : bool
        One decay and threshold per neuron instead of one per population.

    Notes
    -----
    Fra, Leto, Pignata, Macii & Urgese 2024 (L2MU, arXiv 2407.04076). Abar and Bbar are fixed. Initial values as
    published: E_x and E_h LeCun-uniform, E_m zero, all W Xavier-normal.

    State: what the populations ``u.``, ``m.`` and ``h.`` keep, ``memory`` (B, order * n_encoders), coefficient by
    coefficient, and ``hidden`` (B, n_hidden).
    """

    abar: Tensor
    bbar: Tensor

    def __init__(
        self,
        n_in: int,
        n_encoders: int,
        n_hidden: int,
        order: int,
        window: float,
        betas: tuple[float, float, float],
        thresholds: tuple[float, float, float],
        alphas: tuple[float, float, float] | None = None,
        analogue: bool = False,
        bias: bool = False,
        per_neuron: bool = False,
    ) -> None:
        super().__init__()
        if n_encoders < 1 or n_hidden < 1:
            raise ValueError(
                f"a Legendre memory unit needs encoders and hidden neurons, got {n_encoders} and {n_hidden}"
            )
        self.n_encoders, self.n_memory, self.n_hidden, self.order = n_encoders, order * n_encoders, n_hidden, order
        abar, bbar = legendre_matrices(order, window)
        self.register_buffer("abar", torch.tensor(abar, dtype=torch.float32))
        self.register_buffer("bbar", torch.tensor(bbar, dtype=torch.float32))

        def population(i: int, n: int) -> Lif:
            if alphas is None:
                return Lif(n, betas[i], thresholds[i], "subtract", per_neuron)
            return CubaLif(n, alphas[i], betas[i], thresholds[i], "subtract", per_neuron)

        self.u, self.h = population(0, n_encoders), population(2, n_hidden)
        self.m: Lif | Quantise
        if analogue:
            limit = 2.0 ** math.ceil(math.log2(largest_coefficient(abar, bbar, window)))
            self.m = Quantise(READING_STEP, limit)
        else:
            self.m = population(1, self.n_memory)
        self.inputs = Dense(n_in, n_encoders + n_hidden, bias)
        self.around = nn.Linear(n_hidden, n_encoders + n_hidden, bias=False)
        self.recall = nn.Linear(self.n_memory, n_encoders, bias=False)
        self.read = nn.Linear(self.n_memory, n_hidden, bias=False)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        for weight in (self.inputs.linear.weight, self.around.weight):
            to_u, to_h = weight.split([self.n_encoders, self.n_hidden])
            nn.init.uniform_(to_u, -((3 / weight.shape[1]) ** 0.5), (3 / weight.shape[1]) ** 0.5)
            nn.init.xavier_normal_(to_h)
        nn.init.zeros_(self.recall.weight)
        nn.init.xavier_normal_(self.read.weight)
        if self.inputs.linear._parameters["bias"] is not None:
            self.inputs.linear.bias.zero_()

    def _populations(self) -> dict[str, Lif]:
        return {name: p for name, p in (("u", self.u), ("m", self.m), ("h", self.h)) if isinstance(p, Lif)}

    def initial_state(self, batch: int) -> State:
        """Empty memory, neurons at rest."""
        neurons = {
            f"{name}.{field}": value
            for name, population in self._populations().items()
            for field, value in population.initial_state(batch).items()
        }
        return {**neurons, "memory": torch.zeros(batch, self.n_memory), "hidden": torch.zeros(batch, self.n_hidden)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        kept: State = {}

        def fire(name: str, arriving: Tensor) -> Tensor:
            prefix = f"{name}."
            before = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            spikes, following = self._populations()[name].step(arriving, before)
            kept.update({prefix + field: value for field, value in following.items()})
            return spikes

        memory = state["memory"]
        drive = self.inputs.step(x, {})[0] + self.around(state["hidden"])
        to_u, to_h = drive.split([self.n_encoders, self.n_hidden], 1)
        u = fire("u", to_u + self.recall(self._reading(memory)))
        memory = self._advance(memory, u)
        if isinstance(self.m, Lif):
            memory = fire("m", memory)
        hidden = fire("h", to_h + self.read(self._reading(memory)))
        return hidden, {**kept, "memory": memory, "hidden": hidden}

    def _reading(self, memory: Tensor) -> Tensor:
        return self.m(memory) if isinstance(self.m, Quantise) else memory

    def _advance(self, memory: Tensor, u: Tensor) -> Tensor:
        """Element by element and in the machine's order, so that every runtime rounds alike."""
        rows = memory.unflatten(1, (self.order, self.n_encoders))
        total = self.bbar[:, None] * u[:, None]
        for k in range(self.order):
            total = total + self.abar[:, k : k + 1] * rows[:, k : k + 1]
        return total.flatten(1)

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in compiled loops. The state that is returned carries no gradient."""
        current, membrane, output = self._trace(self.inputs.scan(x, {})[0], state)
        parts = [self.n_encoders, self.n_memory, self.n_hidden]
        last: State = {}
        for name, value in (("current", current), ("membrane", membrane), ("output", output)):
            of_populations = value[:, -1].detach().split(parts, 1)
            last.update({f"{p}.{name}": v for p, v in zip("umh", of_populations, strict=True)})
        last["memory"] = last["m.output"] if isinstance(self.m, Lif) else last["m.membrane"]
        last["hidden"] = last["h.output"]
        return output[:, 1:, -self.n_hidden :], {name: last[name] for name in state}

    def _trace(self, drive: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Currents, membranes and outputs (B, T + 1, N) of u, m and h, the first row being the state before."""
        spiking = isinstance(self.m, Lif)
        rest = torch.zeros(len(drive), 1, device=drive.device)

        def row(field: str, m: Tensor | None = None) -> Tensor:
            sizes = (("u", self.n_encoders), ("m", self.n_memory), ("h", self.n_hidden))
            found = [state.get(f"{name}.{field}", rest).expand(-1, size) for name, size in sizes]
            return torch.cat([found[0], found[1] if m is None else m, found[2]], 1)

        membrane = row("membrane", None if spiking else state["memory"])
        output = torch.cat(
            [torch.zeros_like(rest).expand(-1, self.n_encoders), self._reading(state["memory"]), state["hidden"]], 1
        )
        grid = [0.0, 0.0] if isinstance(self.m, Lif) else [self.m.grid, self.m.limit]
        matrices = torch.cat([self.abar.flatten(), self.bbar])
        weights = (self.around.weight, self.recall.weight, self.read.weight)
        # The loops run on the CPU; what comes from a GPU goes back there, and its gradient too.
        given = (drive, *weights, self._neurons(), matrices, row("current"), membrane, output)
        traces = LmuTrace.apply(*(value.cpu() for value in given), grid)
        return tuple(value.to(drive.device) for value in traces)

    def _neurons(self) -> Tensor:
        """Alpha, beta and threshold (3, N); zeros for what an analogue memory and neurons without synapses lack."""
        columns = []
        for population, n in ((self.u, self.n_encoders), (self.m, self.n_memory), (self.h, self.n_hidden)):
            zero = torch.zeros(n, device=self.abar.device)
            if not isinstance(population, Lif):
                columns.append(torch.stack([zero, zero, zero]))
                continue
            alpha = population.alpha.clamp(0, 1) if isinstance(population, CubaLif) else zero
            values = (alpha, population.beta.clamp(0, 1), population.threshold)
            columns.append(torch.stack([value.expand(n) for value in values]))
        return torch.cat(columns, 1)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """The populations one after the other, each with what arrives from the others."""
        memory = builder.state("lmu.memory", np.zeros(self.n_memory))
        hidden = builder.state("lmu.hidden", np.zeros(self.n_hidden))
        around, recall, read = (layer.weight.detach().numpy() for layer in (self.around, self.recall, self.read))
        drive = self.inputs.lower(builder, x)
        builder.linear(hidden, around, onto=drive)
        to_u, to_h = drive.cut(self.n_encoders, self.n_hidden)
        builder.linear(self._lower_reading(builder, memory), recall, onto=to_u)
        u = self.u.lower(builder, to_u)
        after = builder.legendre(memory, u, self.abar.numpy(), self.bbar.numpy())
        builder.assign(memory, self.m.lower(builder, after) if isinstance(self.m, Lif) else after)
        builder.linear(self._lower_reading(builder, memory), read, onto=to_h)
        builder.assign(hidden, self.h.lower(builder, to_h))
        return hidden

    def _lower_reading(self, builder: Builder, memory: Slot) -> Slot:
        return self.m.lower(builder, memory) if isinstance(self.m, Quantise) else memory

    @torch.no_grad()
    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Make the sums of weights exact, so that spikes are the same everywhere."""
        m_bound, m_step = self.m.finalise(math.inf, 0.0)
        linear = self.inputs.linear
        bias = linear._parameters["bias"]
        sides = (slice(0, self.n_encoders), self.recall), (slice(self.n_encoders, None), self.read)
        for rows, from_memory in sides:
            terms = [
                Term(linear.weight[rows], x_bound, x_step),
                Term(self.around.weight[rows], 1.0, 1.0),
                Term(from_memory.weight, m_bound, m_step),
            ]
            make_sums_exact(terms, None if bias is None else bias[rows])
        return 1.0, 1.0

    @torch.no_grad()
    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """From h to u and h, from m to u, inside m, from m to h; the input's are its own layer's."""
        _, membrane, output = self._trace(self.inputs.linear(x), state)
        u, m, h = output.split([self.n_encoders, self.n_memory, self.n_hidden], 2)
        held = m if isinstance(self.m, Lif) else membrane[..., self.n_encoders : -self.n_hidden]
        n = self.n_encoders
        rows = held[:, :-1].unflatten(2, (self.order, n)).transpose(2, 3)
        return [
            Synapses((Product(self.around.weight, h[:, :-1]),)),
            Synapses((Product(self.recall.weight, m[:, :-1]),)),
            Synapses((Product(self.abar, rows, n), Product(self.bbar[:, None], u[:, 1:, :, None], n))),
            Synapses((Product(self.read.weight, m[:, 1:]),)),
        ]

    @torch.no_grad()
    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """The spikes of all populations."""
        spikes = self._trace(self.inputs.linear(x), state)[2][:, 1:].split(
            [self.n_encoders, self.n_memory, self.n_hidden], 2
        )
        return torch.cat([s for s, p in zip(spikes, (self.u, self.m, self.h), strict=True) if isinstance(p, Lif)], 2)
