"""Assembles programs: what decoders and filters talk to when they are lowered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import ProgramError
from bmi_decoder.machine.instruction import UNUSED, WIDTH, Instruction, Kind
from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.machine.kernels.attention import (
    BINARY,
    LINEAR_ATTENTION,
    NORMALISED,
    PLAIN,
    SHIFTED,
    attention_state_size,
)
from bmi_decoder.machine.kernels.bif import BIF, BIF_DRIVEN, ROUND_HALF_UP, train_size
from bmi_decoder.machine.kernels.causal_conv import CAUSAL_CONV
from bmi_decoder.machine.kernels.compress import CLAMP, LOG_SOFTPLUS, SQUARE_ROOT
from bmi_decoder.machine.kernels.elementwise import ADD, RELU, ZERO
from bmi_decoder.machine.kernels.exact_norm import EXACT_LAYER_NORM
from bmi_decoder.machine.kernels.gating import MULTIPLY, SILU
from bmi_decoder.machine.kernels.gru import GRU_CELL
from bmi_decoder.machine.kernels.history import HISTORY, SUB_WINDOWS, history_state_size, sub_windows_state_size
from bmi_decoder.machine.kernels.legendre import LEGENDRE
from bmi_decoder.machine.kernels.linear import ACCUMULATE, LINEAR, REPLACE
from bmi_decoder.machine.kernels.lstm import LSTM_CELL
from bmi_decoder.machine.kernels.move import COPY, INPUT, OUTPUT
from bmi_decoder.machine.kernels.resonate import RESONATE_FIRE
from bmi_decoder.machine.kernels.rms_norm import RMS_NORM
from bmi_decoder.machine.kernels.scale import AFFINE, BINARISE, LAYER_NORM, QUANTISE
from bmi_decoder.machine.kernels.selective_scan import SELECTIVE_SCAN
from bmi_decoder.machine.kernels.spiking import LEAKY_INTEGRATOR, LIF, PER_NEURON, SCALAR
from bmi_decoder.machine.kernels.synaptic import SYNAPTIC_LIF
from bmi_decoder.machine.kernels.window import BOXCAR, FIR, boxcar_state_size, fir_state_size
from bmi_decoder.machine.program import Program
from bmi_decoder.machine.verify import MAX_ARENA

_STATE, _SCRATCH = "state", "scratch"


@dataclass(frozen=True)
class Slot:
    """A vector in the arena: `size` elements of one region, at an offset that is final when built."""

    region: str
    offset: int
    size: int

    def split(self, n: int) -> list[Slot]:
        """`n` equal parts, one behind the other."""
        return self.cut(*[self.size // n] * n)

    def cut(self, *sizes: int) -> list[Slot]:
        """Parts of these sizes, one behind the other."""
        starts = accumulate(sizes, initial=self.offset)
        return [Slot(self.region, start, size) for start, size in zip(starts, sizes, strict=False)]


class Builder:
    """Builds one program, instruction by instruction.

    Parameters
    ----------
    n_inputs : int
        Length of the input row.

    Examples
    --------
    >>> import numpy as np
    >>> builder = Builder(3)
    >>> y = builder.linear(builder.input(), np.ones((2, 3)), bias=np.zeros(2))
    >>> builder.output(y)
    >>> program = builder.build()
    >>> program.n_inputs, program.n_outputs
    (3, 2)
    """

    def __init__(self, n_inputs: int) -> None:
        self.n_inputs = n_inputs
        self._n_outputs = 0
        self._rows: list[tuple[Instruction, dict[str, int | Slot]]] = []
        self._params: list[npt.NDArray[np.float32]] = []
        self._n_params = 0
        self._known: dict[bytes, int] = {}
        self._state: list[npt.NDArray[np.float32]] = []
        self._fields: dict[str, tuple[int, int]] = {}
        self._sizes = {_STATE: 0, _SCRATCH: 0}

    def param(self, values: npt.ArrayLike) -> int:
        """Store constants, once where several instructions share them; returns their offset."""
        array = np.ascontiguousarray(values, np.float32).ravel()
        digest = hashlib.sha256(array.tobytes()).digest()
        if digest in self._known:
            return self._known[digest]
        offset = self._known[digest] = self._n_params
        self._params.append(array)
        self._n_params += array.size
        return offset

    def state(self, name: str, initial: npt.ArrayLike) -> Slot:
        """Reserve state that lives from bin to bin, with its value after a reset.

        A second field of the same name gets a number behind it.
        """
        array = np.ascontiguousarray(initial, np.float32).ravel()
        unique, n = name, 1
        while unique in self._fields:
            n += 1
            unique = f"{name}{n}"
        slot = Slot(_STATE, self._sizes[_STATE], array.size)
        self._fields[unique] = (slot.offset, slot.size)
        self._state.append(array)
        self._sizes[_STATE] += array.size
        return slot

    def scratch(self, size: int) -> Slot:
        """Reserve a vector that is meaningful within one bin only."""
        slot = Slot(_SCRATCH, self._sizes[_SCRATCH], size)
        self._sizes[_SCRATCH] += size
        return slot

    def emit(self, instruction: Instruction, **operands: int | Slot) -> None:
        """Append an instruction, operands by name."""
        names = {name for name, _ in instruction.operands}
        if set(operands) != names:
            raise TypeError(f"{instruction.name} takes {sorted(names)}, got {sorted(operands)}")
        self._rows.append((instruction, operands))

    def input(self) -> Slot:
        """The input row."""
        slot = self.scratch(self.n_inputs)
        self.emit(INPUT, dst=slot, n=self.n_inputs, column=0)
        return slot

    def output(self, source: Slot) -> None:
        """Append a vector to the output row."""
        self.emit(OUTPUT, src=source, n=source.size, column=self._n_outputs)
        self._n_outputs += source.size

    def linear(
        self,
        x: Slot,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        onto: Slot | None = None,
    ) -> Slot:
        """``W x + b`` with `weight` (n_out, n_in) as in torch; added onto `onto` where given."""
        matrix = np.asarray(weight, np.float32)
        n_out, n_in = matrix.shape
        if n_in != x.size:
            raise ValueError(f"weight takes {n_in} inputs, the vector has {x.size}")
        y = self.scratch(n_out) if onto is None else onto
        self.emit(
            LINEAR,
            dst=y,
            src=x,
            n_in=n_in,
            n_out=n_out,
            weight=self.param(matrix.T),
            bias=UNUSED if bias is None else self.param(bias),
            mode=REPLACE if onto is None else ACCUMULATE,
        )
        return y

    def layer_norm(
        self, x: Slot, weight: npt.ArrayLike, bias: npt.ArrayLike, epsilon: float, exact: bool = False
    ) -> Slot:
        """Layer normalisation over the vector; `exact` rounds after every operation, for what feeds a threshold."""
        y = self.scratch(x.size)
        self.emit(
            EXACT_LAYER_NORM if exact else LAYER_NORM,
            dst=y,
            src=x,
            n=x.size,
            weight=self.param(weight),
            bias=self.param(bias),
            epsilon=self.param([epsilon]),
        )
        return y

    def affine(self, x: Slot, scale: npt.ArrayLike, shift: npt.ArrayLike | None = None) -> Slot:
        """``x * scale + shift``, elementwise."""
        y = self.scratch(x.size)
        offset = UNUSED if shift is None else self.param(shift)
        self.emit(AFFINE, dst=y, src=x, n=x.size, scale=self.param(scale), shift=offset)
        return y

    def binarise(self, x: Slot) -> Slot:
        """1 where the input is positive, else 0."""
        y = self.scratch(x.size)
        self.emit(BINARISE, dst=y, src=x, n=x.size)
        return y

    def quantise(self, x: Slot, step: float, low: float, high: float) -> Slot:
        """Multiples of `step`, limited to ``[low, high]``."""
        y = self.scratch(x.size)
        self.emit(QUANTISE, dst=y, src=x, n=x.size, grid=self.param([step, low, high]))
        return y

    def square_root(self, x: Slot) -> Slot:
        """``sign(x) sqrt(|x|)``, elementwise."""
        y = self.scratch(x.size)
        self.emit(SQUARE_ROOT, dst=y, src=x, n=x.size)
        return y

    def log_softplus(self, x: Slot) -> Slot:
        """``log(log(1 + exp(x)))``, elementwise."""
        y = self.scratch(x.size)
        self.emit(LOG_SOFTPLUS, dst=y, src=x, n=x.size)
        return y

    def clamp(self, x: Slot, low: float, high: float) -> Slot:
        """Values limited to ``[low, high]``."""
        y = self.scratch(x.size)
        self.emit(CLAMP, dst=y, src=x, n=x.size, limits=self.param([low, high]))
        return y

    def lstm_cell(self, gates: Slot, hidden: Slot, cell: Slot) -> Slot:
        """Apply LSTM gates to the state; returns the hidden vector."""
        self.emit(LSTM_CELL, gates=gates, hidden=hidden, cell=cell, n=hidden.size)
        return hidden

    def gru_cell(self, gates: Slot, recurrent: Slot, hidden: Slot) -> Slot:
        """Apply GRU gates to the state; returns the hidden vector."""
        self.emit(GRU_CELL, gates=gates, recurrent=recurrent, hidden=hidden, n=hidden.size)
        return hidden

    def relu(self, x: Slot) -> Slot:
        """The positive part."""
        y = self.scratch(x.size)
        self.emit(RELU, dst=y, src=x, n=x.size)
        return y

    def add(self, a: Slot, b: Slot) -> Slot:
        """``a + b``, elementwise."""
        y = self.scratch(a.size)
        self.emit(ADD, dst=y, a=a, b=b, n=a.size)
        return y

    def zeros(self, size: int) -> Slot:
        """A vector that is cleared in every bin."""
        y = self.scratch(size)
        self.emit(ZERO, dst=y, n=size)
        return y

    def copy(self, x: Slot) -> Slot:
        """A copy, for what is still needed after its source has changed."""
        y = self.scratch(x.size)
        self.assign(y, x)
        return y

    def assign(self, target: Slot, x: Slot) -> None:
        """Copy a vector onto another, such as new state onto old."""
        self.emit(COPY, dst=target, src=x, n=x.size)

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

    def legendre(self, memory: Slot, x: Slot, abar: npt.ArrayLike, bbar: npt.ArrayLike) -> Slot:
        """``abar memory + bbar x`` for every element of `x`; `memory` holds order times as many, order by order."""
        y = self.scratch(memory.size)
        self.emit(
            LEGENDRE,
            dst=y,
            memory=memory,
            src=x,
            n=x.size,
            order=memory.size // x.size,
            matrices=self.param(np.concatenate([np.ravel(abar), np.ravel(bbar)])),
        )
        return y

    def bif(self, current: Slot, steps: int, low: int, high: int) -> tuple[Slot, Slot]:
        """Bipolar integrate-and-fire neurons on a current; returns their spike train and trace. Uses up `current`."""
        train, trace = self.scratch(train_size(current.size, steps)), self.scratch(current.size)
        limits = self.param([low, high])
        self.emit(BIF, spikes=train, trace=trace, current=current, n=current.size, steps=steps, limits=limits)
        return train, trace

    def bif_driven(
        self,
        current: Slot,
        arriving: Slot,
        weight: npt.ArrayLike,
        steps: int,
        low: int,
        high: int,
        trace: Slot | None = None,
    ) -> tuple[Slot, Slot]:
        """As `bif`, with another's spike train that arrives through `weight` (n, n_in); the trace may have a place."""
        matrix = np.asarray(weight, np.float32)
        n, n_in = matrix.shape
        train = self.scratch(train_size(n, steps))
        trace = self.scratch(n) if trace is None else trace
        self.emit(
            BIF_DRIVEN,
            spikes=train,
            trace=trace,
            current=current,
            arriving=arriving,
            n_in=n_in,
            n=n,
            steps_in=(arriving.size - 1) // n_in,
            steps=steps,
            weight=self.param(matrix.T),
            limits=self.param([low, high]),
        )
        return train, trace

    def round_half_up(self, x: Slot, low: int, high: int) -> Slot:
        """``floor(x + 1/2)``, limited to ``[low, high]``."""
        y = self.scratch(x.size)
        self.emit(ROUND_HALF_UP, dst=y, src=x, n=x.size, limits=self.param([low, high]))
        return y

    def resonate_fire(self, drive: Slot, state: Slot, resonators: npt.ArrayLike) -> Slot:
        """Resonate-and-fire neurons; `drive` and `state` (2 n,) and `resonators` (3, n) as the kernel takes them."""
        y = self.scratch(state.size // 2)
        self.emit(RESONATE_FIRE, dst=y, drive=drive, state=state, n=y.size, resonators=self.param(resonators))
        return y

    def history(self, x: Slot, width: int, name: str = "history") -> Slot:
        """The last `width` inputs, one behind the other."""
        y = self.scratch(x.size * width)
        state = self.state(name, _zeros(history_state_size(x.size, width)))
        self.emit(HISTORY, dst=y, src=x, n=x.size, width=width, state=state)
        return y

    def sub_windows(self, x: Slot, width: int, count: int, name: str = "sub_windows") -> Slot:
        """Sums over `count` adjoining sub-windows of `width` inputs each."""
        y = self.scratch(x.size * count)
        state = self.state(name, _zeros(sub_windows_state_size(x.size, width, count)))
        self.emit(SUB_WINDOWS, dst=y, src=x, n=x.size, width=width, count=count, state=state)
        return y

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
            state=self.state("attention.state", _zeros(size)),
            heads=heads,
            n_key=n_key,
            n_value=n_value,
            decay=self.param(decay),
            features=SHIFTED if shifted else BINARY,
            normaliser=NORMALISED if normalised else PLAIN,
        )
        return y

    def selective_scan(
        self, x: Slot, delta: Slot, mixing: Slot, state: Slot, rates: npt.ArrayLike, skip: npt.ArrayLike
    ) -> Slot:
        """A selective state space with `rates` (n, n_state), step sizes ``softplus(delta)`` and B, C in `mixing`."""
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
            rates=self.param(rates),
            skip=self.param(skip),
        )
        return y

    def causal_conv(self, x: Slot, taps: npt.ArrayLike, bias: npt.ArrayLike, state: Slot) -> Slot:
        """Depthwise convolution over the last bins; `taps` (width, n), the oldest first."""
        y = self.scratch(x.size)
        width = np.size(taps) // x.size
        self.emit(
            CAUSAL_CONV, dst=y, src=x, n=x.size, width=width, taps=self.param(taps), bias=self.param(bias), state=state
        )
        return y

    def silu(self, x: Slot) -> Slot:
        """``x sigmoid(x)``, elementwise."""
        y = self.scratch(x.size)
        self.emit(SILU, dst=y, src=x, n=x.size)
        return y

    def multiply(self, a: Slot, b: Slot) -> Slot:
        """``a * b``, elementwise."""
        y = self.scratch(a.size)
        self.emit(MULTIPLY, dst=y, a=a, b=b, n=a.size)
        return y

    def rms_norm(self, x: Slot, weight: npt.ArrayLike, epsilon: float) -> Slot:
        """Root-mean-square normalisation over the vector."""
        y = self.scratch(x.size)
        self.emit(RMS_NORM, dst=y, src=x, n=x.size, weight=self.param(weight), epsilon=self.param([epsilon]))
        return y

    def concatenate(self, parts: Sequence[Slot]) -> Slot:
        """Vectors one behind the other, copied."""
        sizes = [part.size for part in parts]
        y = self.scratch(sum(sizes))
        for target, part in zip(y.cut(*sizes), parts, strict=True):
            self.assign(target, part)
        return y

    def boxcar(self, x: Slot, width: int, name: str = "boxcar") -> Slot:
        """Sum of the last `width` inputs."""
        y = self.scratch(x.size)
        state = self.state(name, _zeros(boxcar_state_size(x.size, width)))
        self.emit(BOXCAR, dst=y, src=x, n=x.size, width=width, state=state)
        return y

    def fir(self, x: Slot, taps: npt.ArrayLike, name: str = "fir") -> Slot:
        """FIR filter on every element, oldest tap first; passes the input through until its ring is full."""
        y = self.scratch(x.size)
        width = np.size(taps)
        state = self.state(name, _zeros(fir_state_size(x.size, width)))
        self.emit(FIR, dst=y, src=x, n=x.size, width=width, taps=self.param(taps), state=state)
        return y

    def embed(self, program: Program, x: Slot, prefix: str) -> Slot:
        """Another, verified program as a part of this one: its input is `x`, its output row is returned."""
        params = self.param(program.params)
        state = Slot(_STATE, self._sizes[_STATE], program.initial_state.size)
        for name, (offset, length) in program.state_fields.items():
            self._fields[f"{prefix}.{name}"] = (state.offset + offset, length)
        self._state.append(program.initial_state)
        self._sizes[_STATE] += state.size
        scratch = self.scratch(program.arena_size - state.size)
        y = self.scratch(program.n_outputs)
        for row in program.instructions.tolist():
            instruction = INSTRUCTIONS[row[0]]
            operands: dict[str, int | Slot] = {}
            for name, kind in instruction.operands:
                value = row[1 + len(operands)]
                if kind is Kind.ARENA and value < state.size:
                    operands[name] = Slot(_STATE, state.offset + value, 0)
                elif kind is Kind.ARENA:
                    operands[name] = Slot(_SCRATCH, scratch.offset + value - state.size, 0)
                elif kind is Kind.PARAMS and value != UNUSED:
                    operands[name] = params + value
                else:
                    operands[name] = value
            if instruction is INPUT:
                source = Slot(x.region, x.offset + _integer(operands["column"]), 0)
                self.emit(COPY, dst=operands["dst"], src=source, n=operands["n"])
            elif instruction is OUTPUT:
                target = Slot(y.region, y.offset + _integer(operands["column"]), 0)
                self.emit(COPY, dst=target, src=operands["src"], n=operands["n"])
            else:
                self.emit(instruction, **operands)
        return y

    def build(self) -> Program:
        """The finished, verified program."""
        base: Mapping[str, int] = {_STATE: 0, _SCRATCH: self._sizes[_STATE]}
        table = np.zeros((len(self._rows), WIDTH), np.int64)
        for row, (instruction, operands) in zip(table, self._rows, strict=True):
            row[0] = instruction.opcode
            for column, (name, _) in enumerate(instruction.operands, start=1):
                value = operands[name]
                row[column] = base[value.region] + value.offset if isinstance(value, Slot) else value
        program = Program(
            instructions=table,
            params=_joined(self._params),
            initial_state=_joined(self._state),
            arena_size=self._sizes[_STATE] + self._sizes[_SCRATCH],
            n_inputs=self.n_inputs,
            n_outputs=self._n_outputs,
            state_fields=dict(self._fields),
        )
        program.verify()
        return program


def _zeros(size: int) -> npt.NDArray[np.float32]:
    if size > MAX_ARENA:  # refused here, before a bundle's wide filter on many channels takes the memory
        raise ProgramError(f"a window of {size} elements is larger than the arena may be, {MAX_ARENA}")
    return np.zeros(size, np.float32)


def _joined(arrays: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.concatenate([*arrays, np.zeros(0, np.float32)])


def _integer(value: int | Slot) -> int:
    assert isinstance(value, int)
    return value
