"""The security boundary: no program that could leave its arrays is ever accepted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmi_decoder.errors import BundleError, ProgramError
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.instruction import UNUSED, WIDTH, Instruction, Kind
from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.machine.kernels.move import COPY, INPUT, OUTPUT
from bmi_decoder.machine.kernels.spiking import RESET_SUBTRACT
from bmi_decoder.machine.kernels.synaptic import DIRECT
from bmi_decoder.machine.program import Program
from bmi_decoder.machine.verify import MAX_ARENA, MAX_INSTRUCTIONS, MAX_ROW, MAX_TOUCHED
from tests.machine.support import run_guarded

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


def everything() -> Program:
    """A program with every instruction that there is."""
    rng = np.random.default_rng(0)
    builder = Builder(6)
    x = builder.input()
    x = builder.fir(builder.boxcar(x, 3), rng.standard_normal(5))
    x = builder.affine(builder.layer_norm(x, np.ones(6), np.zeros(6), 1e-5), np.ones(6), np.ones(6))
    hidden, cell = builder.state("h", np.zeros(4)), builder.state("c", np.zeros(4))
    gates = builder.linear(x, rng.standard_normal((16, 6)), np.zeros(16))
    builder.linear(hidden, rng.standard_normal((16, 4)), onto=gates)
    h = builder.lstm_cell(gates, hidden, cell)
    spikes = builder.lif(builder.quantise(h, 0.25, -1, 1), builder.state("m", np.zeros(4)), 0.9, 0.1, RESET_SUBTRACT)
    per_neuron = builder.lif(
        builder.binarise(h), builder.state("m", np.zeros(4)), np.full(4, 0.9), np.full(4, 0.3), RESET_SUBTRACT
    )
    builder.output(builder.leaky_integrator(spikes, builder.state("r", np.zeros(4)), 0.8))
    gates, recurrent = (builder.linear(per_neuron, rng.standard_normal((12, 4))) for _ in range(2))
    h = builder.relu(builder.gru_cell(gates, recurrent, builder.state("g", np.zeros(4))))
    h = builder.layer_norm(builder.add(h, builder.zeros(4)), np.ones(4), np.zeros(4), 1e-5, exact=True)
    h = builder.linear(builder.sub_windows(builder.history(h, 3), 2, 3), rng.standard_normal((4, 36)))
    synapse, *neuron = (builder.state(name, np.zeros(4)) for name in ("s", "u", "i"))
    builder.synaptic_lif(h, synapse, *neuron, np.full((3, 4), 0.5), DIRECT)
    per_neuron = builder.add(per_neuron, synapse)
    squeezed = builder.clamp(builder.log_softplus(builder.square_root(h)), -1, 1)
    memory = builder.legendre(builder.state("memory", np.zeros(8)), squeezed, np.eye(2), np.ones(2))
    per_neuron = builder.add(per_neuron, memory.split(2)[0])
    train, _ = builder.bif(builder.copy(synapse), 5, 0, 5)
    _, trace = builder.bif_driven(builder.copy(h), train, rng.standard_normal((4, 4)), 9, -4, 3)
    per_neuron = builder.add(per_neuron, builder.round_half_up(trace, -4, 3))
    z = builder.resonate_fire(builder.concatenate([h, squeezed]), builder.state("z", np.zeros(8)), np.full((3, 4), 0.5))
    per_neuron = builder.add(per_neuron, z)
    attended = builder.linear_attention(builder.concatenate([h, squeezed, h]), 2, 2, 2, np.full(2, 0.5), True, True)
    past = builder.causal_conv(attended, np.ones((3, 4)), np.zeros(4), builder.state("past", np.zeros(8)))
    ssm = builder.state("ssm", np.zeros((4, 2)))
    scanned = builder.selective_scan(past, h, squeezed, ssm, -np.ones((4, 2)), np.ones(4))
    gated = builder.multiply(builder.silu(past), scanned)
    per_neuron = builder.add(per_neuron, builder.rms_norm(gated, np.ones(4), 1e-5))
    tokens = builder.concatenate([h, squeezed, h])
    mind = builder.state("mind", np.zeros(4))
    between = builder.spiking_self_attention(tokens, mind, 2, 1, [0.5], 0.25, 16.0, 0.125)
    per_neuron = builder.add(per_neuron, between)
    copied = builder.scratch(4)
    builder.emit(COPY, dst=copied, src=per_neuron, n=4)
    builder.output(copied)
    program = builder.build()
    assert set(program.instructions[:, 0]) == set(INSTRUCTIONS)
    return program


PROGRAM = everything()


def rows_of(name: str) -> list[int]:
    opcode = next(opcode for opcode, instruction in INSTRUCTIONS.items() if instruction.name == name)
    return np.flatnonzero(PROGRAM.instructions[:, 0] == opcode).tolist()


def changed(row: int, column: int, value: int) -> Program:
    table = PROGRAM.instructions.copy()
    table[row, column] = value
    return replace(PROGRAM, instructions=table)


def bad_values(instruction: Instruction, name: str, kind: Kind) -> list[int]:
    """Numbers that no operand of this kind may have, in this program."""
    limits = {
        Kind.ARENA: [-1, LOWEST, HIGHEST, PROGRAM.arena_size, MAX_ARENA, 1 << 32, -(1 << 32)],
        Kind.PARAMS: [-2, LOWEST, HIGHEST, PROGRAM.params.size, 1 << 32, -(1 << 32)],
        Kind.SIZE: [0, -1, LOWEST, HIGHEST, MAX_ARENA, MAX_ARENA + 1, 1 << 32, 1 << 62],
        Kind.CHOICE: [-1, 3, LOWEST, HIGHEST, 1 << 32],
        Kind.COLUMN: [-1, LOWEST, HIGHEST, 6 if instruction is INPUT else 8, 1 << 32],
    }[kind]
    return [*limits, UNUSED] if kind is Kind.PARAMS and name not in instruction.optional else limits


OPERANDS = [
    pytest.param(row, column, instruction, name, kind, id=f"{row}-{instruction.name}-{name}")
    for row, opcode in enumerate(PROGRAM.instructions[:, 0].tolist())
    for instruction in [INSTRUCTIONS[opcode]]
    for column, (name, kind) in enumerate(instruction.operands, start=1)
]


@pytest.mark.parametrize(("row", "column", "instruction", "name", "kind"), OPERANDS)
def test_every_operand_has_limits(row: int, column: int, instruction: Instruction, name: str, kind: Kind) -> None:
    for value in bad_values(instruction, name, kind):
        with pytest.raises(ProgramError, match=rf"^instruction {row} \({instruction.name}\)") as caught:
            changed(row, column, value).verify()
        assert "\n" not in str(caught.value)


OFFSETS = [
    case
    for case in OPERANDS
    if case.values[4] in (Kind.ARENA, Kind.PARAMS) and PROGRAM.instructions[case.values[0], case.values[1]] != UNUSED
]


@pytest.mark.parametrize(("row", "column", "instruction", "name", "kind"), OFFSETS)
def test_ranges_are_limited_to_the_element(
    row: int, column: int, instruction: Instruction, name: str, kind: Kind
) -> None:
    """The last place where a vector fits is accepted as far as its range goes, the next is not."""
    operands = instruction.decode(PROGRAM.instructions[row].tolist())
    space, size = ("arena", PROGRAM.arena_size) if kind is Kind.ARENA else ("params", PROGRAM.params.size)
    far = {**operands, **{other: 0 for other, k in instruction.operands if k is kind}, name: 1 << 40}
    extent = max(a.start + a.length - (1 << 40) for a in instruction.accesses(far) if a.start >= 1 << 40)
    with pytest.raises(ProgramError, match=f"reaches {space} elements .* outside 0:{size}"):
        changed(row, column, size - extent + 1).verify()
    try:
        changed(row, column, size - extent).verify()
    except ProgramError as error:
        assert "before they are written" in str(error)  # inside its array, but undefined there


def test_the_message_says_what_is_reached_and_what_to_think_of_it() -> None:
    row = rows_of("copy")[0]
    with pytest.raises(ProgramError) as caught:
        changed(row, 1, PROGRAM.arena_size - 3).verify()
    n = PROGRAM.arena_size
    assert str(caught.value) == (
        f"instruction {row} (copy) reaches arena elements {n - 3}:{n + 1}, outside 0:{n}; "
        "the bundle is damaged or not to be trusted"
    )
    assert issubclass(ProgramError, BundleError)


@pytest.mark.parametrize("opcode", [-1, 99, 255, LOWEST, HIGHEST])
def test_unknown_opcode(opcode: int) -> None:
    with pytest.raises(ProgramError, match=f"instruction 2 has opcode {opcode}, which this version does not know"):
        changed(2, 0, opcode).verify()


def test_scratch_must_be_written_before_it_is_read() -> None:
    """Otherwise something could live from bin to bin outside the state."""
    table = PROGRAM.instructions.copy()
    table[[0, 1]] = table[[1, 0]]
    with pytest.raises(ProgramError, match=r"instruction 0 \(boxcar\) reads arena elements .* before they are written"):
        replace(PROGRAM, instructions=table).verify()
    with pytest.raises(ProgramError, match="before they are written"):
        replace(PROGRAM, initial_state=PROGRAM.initial_state[:-1]).verify()


def test_accumulating_reads_what_is_there() -> None:
    row = rows_of("linear")[0]
    with pytest.raises(ProgramError, match=r"\(linear\) reads arena elements"):
        changed(row, 7, 1).verify()


def test_every_output_must_be_written() -> None:
    last = len(PROGRAM.instructions) - 1
    assert PROGRAM.instructions[last, 0] == OUTPUT.opcode
    with pytest.raises(ProgramError, match="output column 4 is never written"):
        replace(PROGRAM, instructions=PROGRAM.instructions[:last]).verify()
    with pytest.raises(ProgramError, match="output column 8 is never written"):
        replace(PROGRAM, n_outputs=9).verify()


@pytest.mark.parametrize("field", ["params", "initial_state"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_constants_must_be_finite(field: str, value: float) -> None:
    array = getattr(PROGRAM, field).copy()
    array[7] = value
    with pytest.raises(ProgramError, match=f"{field} has a non-finite value at element 7"):
        replace(PROGRAM, **{field: array}).verify()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instructions": PROGRAM.instructions.astype(np.int32)}, "int64"),
        ({"instructions": PROGRAM.instructions[:, :-1]}, rf"\(n, {WIDTH}\) table"),
        ({"instructions": PROGRAM.instructions[0]}, "int64"),
        ({"instructions": PROGRAM.instructions[:0]}, f"1 to {MAX_INSTRUCTIONS} instructions, got 0"),
        ({"instructions": np.tile(PROGRAM.instructions, (300, 1))}, f"1 to {MAX_INSTRUCTIONS} instructions, got"),
        ({"params": PROGRAM.params.astype(np.float64)}, "params must be a float32 vector"),
        ({"params": PROGRAM.params[None]}, "params must be a float32 vector"),
        ({"initial_state": PROGRAM.initial_state.astype(np.int64)}, "initial_state must be a float32 vector"),
        ({"arena_size": PROGRAM.initial_state.size - 1}, "must hold the state"),
        ({"arena_size": -1}, "must hold the state"),
        ({"arena_size": MAX_ARENA + 1}, f"at most {MAX_ARENA}"),
        ({"arena_size": HIGHEST}, f"at most {MAX_ARENA}"),
        ({"n_inputs": 0}, f"1 to {MAX_ROW} inputs, got 0"),
        ({"n_inputs": 5}, r"\(input\) reaches input elements 0:6, outside 0:5"),
        ({"n_inputs": MAX_ROW + 1}, f"1 to {MAX_ROW} inputs"),
        ({"n_outputs": -1}, f"1 to {MAX_ROW} outputs, got -1"),
        ({"n_outputs": HIGHEST}, f"1 to {MAX_ROW} outputs"),
        ({"n_outputs": 7}, r"\(output\) reaches output elements 4:8, outside 0:7"),
        ({"state_fields": {"h": (0, PROGRAM.initial_state.size + 1)}}, "state field 'h' is elements"),
        ({"state_fields": {"h": (-1, 1)}}, "state field 'h' is elements"),
        ({"state_fields": {"h": (3, -1)}}, "state field 'h' is elements"),
    ],
)
def test_arrays_and_sizes_have_limits(changes: dict, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        replace(PROGRAM, **changes).verify()


def test_work_per_bin_is_limited() -> None:
    """A bundle cannot stop the decode loop by a program that is valid and endless."""
    n, table = 1 << 20, np.zeros((102, WIDTH), np.int64)
    table[:, :4] = COPY.opcode, 0, 0, n
    table[0, :4] = INPUT.opcode, 0, 1, 0
    table[-1, :4] = OUTPUT.opcode, 0, 1, 0
    program = Program(table, np.zeros(0, np.float32), np.zeros(n, np.float32), n, 1, 1)
    with pytest.raises(ProgramError, match=f"touches more than {MAX_TOUCHED} elements per bin"):
        program.verify()
    replace(program, instructions=table[[0, 1, 2, 3, -1]]).verify()


def test_an_unsafe_program_is_never_given_to_the_machine() -> None:
    with pytest.raises(ProgramError):
        Executor(changed(rows_of("copy")[0], 1, -1))
    with pytest.raises(ProgramError):
        Program.from_bytes(changed(rows_of("copy")[0], 1, -1).to_bytes())


NUMBERS = st.one_of(
    st.integers(-3, 40),
    st.integers(0, PROGRAM.arena_size + 3),
    st.integers(0, PROGRAM.params.size + 3),
    st.sampled_from([LOWEST, HIGHEST, 1 << 24, 1 << 31, 1 << 32, 1 << 62, -(1 << 31)]),
)
CHANGES = st.lists(
    st.tuples(st.integers(0, len(PROGRAM.instructions) - 1), st.integers(0, WIDTH - 1), NUMBERS),
    min_size=1,
    max_size=4,
)
ROWS = np.random.default_rng(3).poisson(1.0, (12, PROGRAM.n_inputs)).astype(np.float32)


def run_twice(program: Program, state: np.ndarray) -> list[np.ndarray]:
    """Outputs with two different contents of everything that is not state, parameters or input."""
    results = []
    for filler in (np.nan, 3.25):
        arena = np.full(program.arena_size, filler, np.float32)
        arena[: state.size] = state
        arena, y = run_guarded(program.instructions, program.params, arena, ROWS, program.n_outputs, guard=filler)
        results.append(np.concatenate([arena[: state.size], y.ravel()]))
    return results


def test_a_valid_program_depends_on_nothing_but_its_state() -> None:
    first, second = run_twice(PROGRAM, PROGRAM.initial_state)
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)


@settings(deadline=None, max_examples=400)
@given(CHANGES, st.lists(st.floats(width=32), min_size=0, max_size=6), st.integers(0, 1 << 30))
def test_corrupted_programs_are_refused_or_harmless(
    changes: list[tuple[int, int, int]], numbers: list[float], seed: int
) -> None:
    """Whatever `verify` accepts runs inside its arrays, from any state, and carries nothing over but its state."""
    table = PROGRAM.instructions.copy()
    for row, column, value in changes:
        table[row, column] = value
    program = replace(PROGRAM, instructions=table)
    try:
        program.verify()
    except ProgramError:
        return
    rng = np.random.default_rng(seed)
    state = rng.uniform(-40, 40, program.initial_state.size).astype(np.float32)
    for number in numbers:
        state[rng.integers(state.size)] = number
    with np.errstate(all="ignore"):
        first, second = run_twice(program, state)
    assert np.array_equal(first, second, equal_nan=True)
