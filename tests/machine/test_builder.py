from __future__ import annotations

import numpy as np
import pytest

from bmi_decoder.errors import ProgramError
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.instruction import Kind
from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.machine.kernels.linear import LINEAR
from bmi_decoder.machine.kernels.move import COPY
from bmi_decoder.machine.program import Program
from tests.machine.support import normal
from tests.machine.test_verify import PROGRAM

ROWS = np.random.default_rng(1).poisson(1.0, (60, 6)).astype(np.float32)


def test_state_fields_name_the_elements_of_the_state() -> None:
    builder = Builder(2)
    first = builder.state("m", [1.0, 2.0])
    second = builder.state("m", [[3.0], [4.0], [5.0]])
    builder.output(builder.leaky_integrator(builder.input(), first, 0.5))
    builder.output(second)
    program = builder.build()
    assert program.state_fields == {"m": (0, 2), "m2": (2, 3)}
    assert program.initial_state.tolist() == [1, 2, 3, 4, 5]
    assert program.initial_state.dtype == np.float32
    assert Executor(program).run([[0, 0]]).tolist() == [[0.5, 1.0, 3.0, 4.0, 5.0]]


@pytest.mark.parametrize("n", [1, 7, 8, 40])
def test_a_constant_partly_overwritten_with_input(n: int) -> None:
    builder = Builder(n + 2)
    x = builder.constant(np.arange(n) + 0.1)
    builder.input_onto(x.window(0, 1), 2)
    builder.output(x)
    want = np.float32([[7, *np.arange(1, n) + 0.1]])
    assert np.array_equal(Executor(builder.build()).run([[5, 6, 7, *[9] * (n - 1)]]), want)


def test_outputs_stand_side_by_side() -> None:
    builder = Builder(2)
    x = builder.input()
    for factor in (1.0, 10.0, 100.0):
        builder.output(builder.affine(x, [factor, factor]))
    assert Executor(builder.build()).run([[1, 2]]).tolist() == [[1, 2, 10, 20, 100, 200]]


def test_operands_are_given_by_name() -> None:
    builder = Builder(2)
    x = builder.input()
    with pytest.raises(TypeError, match="copy takes"):
        builder.emit(COPY, dst=x, src=x)
    with pytest.raises(TypeError, match="copy takes"):
        builder.emit(COPY, dst=x, src=x, n=2, width=3)


def test_weights_must_fit_the_vector() -> None:
    builder = Builder(2)
    with pytest.raises(ValueError, match="weight takes 3 inputs, the vector has 2"):
        builder.linear(builder.input(), np.ones((1, 3)))


def test_what_is_built_is_verified() -> None:
    builder = Builder(2)
    builder.input()
    with pytest.raises(ProgramError, match="1 to 65536 outputs"):
        builder.build()
    builder.output(builder.affine(builder.input(), [1.0, np.nan]))
    with pytest.raises(ProgramError, match="non-finite"):
        builder.build()
    builder = Builder(2)
    builder.output(builder.scratch(2))
    with pytest.raises(ProgramError, match="before they are written"):
        builder.build()


@pytest.mark.parametrize("window", ["boxcar", "fir", "history", "sub_windows"])
def test_a_window_that_is_too_large_is_refused_before_it_takes_the_memory(window: str) -> None:
    builder = Builder(1 << 16)
    with pytest.raises(ProgramError, match="larger than the arena may be"):
        if window == "boxcar":
            builder.boxcar(builder.input(), 1 << 20)
        elif window == "history":
            builder.history(builder.input(), 4096)
        elif window == "sub_windows":
            builder.sub_windows(builder.input(), 64, 64)
        else:
            builder.fir(builder.input(), np.ones(4096))


def test_lif_shares_or_has_its_own_decay_and_threshold() -> None:
    def sizes(beta: object, threshold: object) -> int:
        builder = Builder(3)
        builder.output(builder.lif(builder.input(), builder.state("m", np.zeros(3)), beta, threshold, 1))
        return builder.build().params.size

    assert sizes(0.9, 0.5) == 2
    assert sizes([0.9], np.float32(0.5)) == 2
    assert sizes([0.9] * 3, [0.5] * 3) == 6
    assert sizes([0.9] * 3, 0.5) == 6


def embedded(copies: int, before: int = 0) -> Program:
    """`PROGRAM` several times in one program, behind `before` filters, each copy's output in the output row."""
    builder = Builder(6)
    x = builder.input()
    for _ in range(before):
        x = builder.fir(x, [0.25, 0.75], "front")
    for i in range(copies):
        builder.output(builder.embed(PROGRAM, x, f"part{i}"))
    return builder.build()


@pytest.mark.parametrize("copies", [1, 3])
def test_an_embedded_program_computes_the_same(copies: int) -> None:
    assert np.array_equal(Executor(embedded(copies)).run(ROWS), np.tile(Executor(PROGRAM).run(ROWS), copies))


def test_an_embedded_program_may_stand_behind_others() -> None:
    builder = Builder(6)
    builder.output(builder.fir(builder.fir(builder.input(), [0.25, 0.75]), [0.25, 0.75]))
    filtered = Executor(builder.build()).run(ROWS)
    assert np.array_equal(Executor(embedded(2, before=2)).run(ROWS)[:, :8], Executor(PROGRAM).run(filtered))


def test_embedding_can_be_nested() -> None:
    builder = Builder(6)
    builder.output(builder.embed(embedded(2, before=1), builder.input(), "inner"))
    program = builder.build()
    assert np.array_equal(Executor(program).run(ROWS), Executor(embedded(2, before=1)).run(ROWS))
    assert "inner.part1.boxcar" in program.state_fields


def test_state_of_an_embedded_program_keeps_its_names_and_values() -> None:
    whole, alone = Executor(embedded(2, before=1)), Executor(PROGRAM)
    x = ROWS.copy()
    builder = Builder(6)
    builder.output(builder.fir(builder.input(), [0.25, 0.75]))
    whole.run(x)
    alone.run(Executor(builder.build()).run(x))
    for name, (offset, length) in PROGRAM.state_fields.items():
        for part in ("part0", "part1"):
            start, size = whole.program.state_fields[f"{part}.{name}"]
            assert size == length
            assert np.array_equal(whole.state()[start : start + size], alone.state()[offset : offset + length])


def test_embedding_copies_the_program() -> None:
    program = embedded(1)
    program.params[:] = 0
    program.initial_state[:] = 0
    assert PROGRAM.params.any()
    assert np.array_equal(Executor(embedded(1)).run(ROWS), Executor(PROGRAM).run(ROWS))


def test_operands_of_every_instruction_fit_the_table() -> None:
    for instruction in INSTRUCTIONS.values():
        assert len(instruction.operands) <= 11
        choices = {name for name, kind in instruction.operands if kind is Kind.CHOICE}
        assert set(instruction.choices) == choices
        assert instruction.optional <= {name for name, kind in instruction.operands if kind is Kind.PARAMS}


def test_long_constants_begin_at_cache_lines() -> None:
    """Wherever the operating system puts the array: a weight that straddles two lines is read twice."""
    for before in range(1, 6):
        builder = Builder(5)
        x = builder.input()
        for low in range(before):
            x = builder.clamp(x, -low, low)
        builder.output(builder.linear(x, normal(16, 5), normal(16)))
        program = builder.build()
        outer = Builder(5)
        outer.output(outer.embed(program, outer.affine(outer.input(), normal(5)), "inner"))
        for built in (program, outer.build(), Program.from_bytes(program.to_bytes())):
            (row,) = built.instructions[built.instructions[:, 0] == LINEAR.opcode].tolist()
            linear = LINEAR.decode(row)
            assert built.params.ctypes.data % 64 == linear["weight"] % 16 == linear["bias"] % 16 == 0


def test_constants_that_several_instructions_share_are_stored_once() -> None:
    builder = Builder(3)
    weight, bias = np.ones((2, 3)), [4.0, 5.0]
    once = builder.linear(builder.input(), weight, bias)
    builder.output(builder.linear(builder.input(), weight, bias))
    builder.output(once)
    program = builder.build()
    assert program.params.size == 8
    assert Executor(program).run([[1, 2, 3]]).tolist() == [[10, 11, 10, 11]]
