"""`Program.verify` trusts what instructions declare to touch, so here every kernel is held to its declaration."""

import numpy as np
import pytest

from bmi_decoder.machine.instruction import Kind
from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.machine.kernels.bif import BIF_DRIVEN
from bmi_decoder.machine.kernels.history import HISTORY, SUB_WINDOWS
from bmi_decoder.machine.kernels.window import BOXCAR, FIR
from tests.machine.support import Placed, run_guarded, variations

SIZES = (
    {"n": 5, "n_in": 11, "n_out": 5, "width": 6, "count": 4, "order": 3, "steps": 7, "steps_in": 4}
    | {"heads": 2, "n_key": 3, "n_value": 5, "n_state": 4, "tokens": 3},
    {"n": 1, "n_in": 1, "n_out": 1, "width": 1, "count": 1, "order": 1, "steps": 1, "steps_in": 1}
    | {"heads": 1, "n_key": 1, "n_value": 1, "n_state": 1, "tokens": 1},
    {"n": 17, "n_in": 4, "n_out": 9, "width": 9, "count": 3, "order": 2, "steps": 3, "steps_in": 5}
    | {"heads": 3, "n_key": 8, "n_value": 2, "n_state": 16, "tokens": 2},
)
CASES = [
    pytest.param(placed, id=f"{instruction.name}-{i}-{j}")
    for instruction in INSTRUCTIONS.values()
    for i, sizes in enumerate(SIZES)
    for j, placed in enumerate(variations(instruction, sizes))
]
WILD = (np.nan, np.inf, -np.inf, -1.0, -0.5, 0.5, 3e38, 5.999, 6.0, 7.0, 16777216.0)


def check_declared(placed: Placed, arena: np.ndarray, params: np.ndarray, n_rows: int = 1) -> None:
    """Run twice with other values in everything undeclared: only declared elements may change, and alike."""
    rng = np.random.default_rng(0)
    reads = {space: placed.declared(space, writes=False) for space in ("arena", "params", "input")}
    writes = {space: placed.declared(space, writes=True) for space in ("arena", "output")}
    x = rng.standard_normal((n_rows, placed.sizes["input"])).astype(np.float32)
    results = []
    for filler in (np.nan, -7.25):
        before = np.where(reads["arena"], arena, np.float32(filler)).astype(np.float32)
        after, y = run_guarded(
            placed.table,
            np.where(reads["params"], params, np.float32(filler)).astype(np.float32),
            before,
            np.where(reads["input"], x, np.float32(filler)).astype(np.float32),
            placed.sizes["output"],
            guard=filler,
        )
        kept = ~writes["arena"]
        assert np.array_equal(after[kept], before[kept], equal_nan=True), "an undeclared arena element was written"
        untouched = y[:, ~writes["output"]]
        assert np.array_equal(untouched, np.full_like(untouched, filler), equal_nan=True), "an undeclared output"
        results.append((after[writes["arena"]], y[:, writes["output"]]))
    for first, second in zip(*results, strict=True):
        assert np.array_equal(first, second, equal_nan=True), "the result depends on an undeclared element"


def arrays(placed: Placed, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Random contents, with the sparse zeros that `linear` skips and parameters that divide by nothing."""
    rng = np.random.default_rng(seed)
    arena = rng.standard_normal(placed.sizes["arena"]).astype(np.float32)
    arena[rng.random(arena.size) < 0.3] = 0
    return arena, rng.uniform(0.5, 1.5, placed.sizes["params"]).astype(np.float32)


@pytest.mark.parametrize("placed", CASES)
def test_kernels_touch_only_what_they_declare(placed: Placed) -> None:
    for seed in range(8):
        check_declared(placed, *arrays(placed, seed))


@pytest.mark.parametrize("placed", CASES)
def test_declared_writes_are_made(placed: Placed) -> None:
    """What is declared as written counts as defined from there on, so no element may be left out."""
    arena, params = arrays(placed)
    marker = np.float32(-12345.5)
    fresh = placed.declared("arena", writes=True) & ~placed.declared("arena", writes=False)
    arena[fresh] = marker
    x = np.ones((1, placed.sizes["input"]), np.float32)
    after, y = run_guarded(placed.table, params, arena, x, placed.sizes["output"], guard=-12345.5)
    assert not (after[fresh] == marker).any()
    assert not (y[:, placed.declared("output", writes=True)] == marker).any()


RINGS = (BOXCAR, FIR, HISTORY, SUB_WINDOWS)


@pytest.mark.parametrize("placed", [case for case in CASES if case.values[0].instruction in RINGS])
def test_rings_cannot_be_left_whatever_the_state_holds(placed: Placed) -> None:
    state, width = placed.operands["state"], placed.operands["width"]
    for first in (*WILD, *range(width * placed.operands.get("count", 1) + 2)):
        for second in (*WILD, width - 1, width):
            arena, params = arrays(placed)
            arena[state : state + 2] = first, second
            check_declared(placed, arena, params, n_rows=3)


@pytest.mark.parametrize("placed", [case for case in CASES if case.values[0].instruction is BIF_DRIVEN])
def test_spike_trains_cannot_be_left_whatever_they_say_of_their_length(placed: Placed) -> None:
    for arrived in (*WILD, *range(placed.operands["steps_in"] + 2)):
        arena, params = arrays(placed)
        arena[placed.operands["arriving"]] = arrived
        check_declared(placed, arena, params, n_rows=2)


def test_every_operand_of_the_arena_and_the_parameters_is_declared() -> None:
    for instruction in INSTRUCTIONS.values():
        placed = next(variations(instruction, SIZES[0]))
        starts = {(access.space, access.start) for access in placed.accesses()}
        for name, kind in instruction.operands:
            if kind in (Kind.ARENA, Kind.PARAMS):
                space = "arena" if kind is Kind.ARENA else "params"
                assert (space, placed.operands[name]) in starts, f"{instruction.name} declares nothing at {name}"


def test_opcodes_are_distinct_and_never_change() -> None:
    """Bundles hold these numbers."""
    published = {
        "input": 0,
        "output": 1,
        "copy": 2,
        "linear": 3,
        "layer_norm": 4,
        "affine": 5,
        "binarise": 6,
        "quantise": 7,
        "lstm_cell": 8,
        "lif": 9,
        "leaky_integrator": 10,
        "boxcar": 11,
        "fir": 12,
        "gru_cell": 13,
        "relu": 14,
        "add": 15,
        "zero": 16,
        "history": 17,
        "sub_windows": 18,
        "exact_layer_norm": 19,
        "synaptic_lif": 20,
        "square_root": 21,
        "log_softplus": 22,
        "clamp": 23,
        "legendre": 28,
        "bif": 37,
        "bif_driven": 38,
        "round_half_up": 39,
        "resonate_fire": 25,
        "linear_attention": 31,
        "causal_conv": 32,
        "silu": 33,
        "multiply": 34,
        "selective_scan": 42,
        "rms_norm": 36,
        "spiking_self_attention": 41,
        "linear_few": 43,
    }
    numbers = {instruction.name: opcode for opcode, instruction in INSTRUCTIONS.items()}
    assert published.items() <= numbers.items()
    assert len(numbers) == len(INSTRUCTIONS)
