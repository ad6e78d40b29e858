"""Bundles and what is in them."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from bmi_decoder.bundle import MANIFEST, PROGRAM, parse_bundle, write_bundle
from bmi_decoder.config import BlockFilterSettings, FirFilterSettings, InputFilterSettings, OutputFilterSettings
from bmi_decoder.errors import BundleError, InputError
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.instruction import WIDTH, Kind
from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.machine.program import Program
from bmi_decoder.onnx_executor import OnnxExecutor
from bmi_decoder.pipeline import Pipeline
from tests.fuzz.mutation import bomb, change_bytes, change_json, members_of, noise, other_name, zipped
from tests.fuzz.target import Target
from tests.machine.support import run_guarded
from tests.machine.test_verify import PROGRAM as EVERYTHING
from tests.support import bundle
from tests.test_onnx_executor import executor, initial, step

_FILTERS = OutputFilterSettings(
    low_latency=BlockFilterSettings(cutoff_hz=10, width=8, order=1),
    high_accuracy=FirFilterSettings(kind="fir", taps=(0.25, 0.5, 0.25), lookahead=1, bin_s=0.004),
)
_ENTRY = InputFilterSettings(cutoff_hz=20, width=8, order=1, variant="high_accuracy")


def _valid(folder: Path) -> list[bytes]:
    path = folder / "b.bmi"
    found = []
    for made in (bundle(_ENTRY, _FILTERS), replace(bundle(), program=None, onnx=step(metadata=initial([1, 2])))):
        write_bundle(made, path)
        found.append(path.read_bytes())
    return found


def _use(data: bytes) -> object:
    made = parse_bundle(data, "b.bmi")
    return Pipeline(made).run(np.ones((3, made.manifest.n_channels), np.float32))


def _agreeing(members: dict[str, bytes], text: dict[str, Any]) -> dict[str, Any]:
    """The manifest with sums that agree with the members, so that only their content can be found wrong."""
    return text | {"members": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}}


def manifests(name: str, folder: Path) -> Target:
    """Bundles whose manifest says something else."""

    def change(rng: random.Random, data: bytes) -> bytes:
        members = members_of(data)
        text = json.loads(members.pop(MANIFEST))
        changed = noise(rng) if rng.random() < 0.02 else change_json(rng, text)
        return zipped(rng, {MANIFEST: changed, **members})

    return Target(name, _valid(folder), change, _use, (BundleError, InputError))


def files(name: str, folder: Path) -> Target:
    """Bundles whose members, names and zip structure are changed."""
    valid = _valid(folder)

    def change(rng: random.Random, data: bytes) -> bytes:
        way = rng.random()
        if way < 0.4:
            return change_bytes(rng, data, valid)
        if way < 0.42:
            return noise(rng)
        members = members_of(data)
        text = json.loads(members.pop(MANIFEST))
        member = rng.choice(list(members))
        if way < 0.5:
            members[other_name(rng, member)] = members.pop(member)
        elif way < 0.52:
            members[member] = bomb(rng)
        elif member == PROGRAM:
            members[PROGRAM] = _changed_program(rng, members[PROGRAM])
        else:
            members[member] = change_bytes(rng, members[member], list(members.values()))
        if rng.random() < 0.9:
            text = _agreeing(members, text)
        return zipped(rng, {MANIFEST: json.dumps(text).encode(), **members})

    return Target(name, valid, change, _use, (BundleError, InputError))


def programs(name: str, folder: Path) -> Target:
    """Programs of the machine: one that the verifier lets through runs, and stays inside its arrays."""
    smoothing = Builder(3)
    hidden = smoothing.linear(smoothing.input(), np.ones((4, 3)), np.ones(4))
    smoothing.output(smoothing.leaky_integrator(hidden, smoothing.state("m", np.ones(4)), 0.75))
    valid = [EVERYTHING.to_bytes(), smoothing.build().to_bytes()]

    def attempt(data: bytes) -> object:
        program = Program.from_bytes(data)
        x = np.ones((2, program.n_inputs), np.float32)
        Executor(program).run(x)
        arena = np.zeros(program.arena_size, np.float32)
        arena[: program.initial_state.size] = program.initial_state
        with np.errstate(all="ignore"):
            return run_guarded(program.instructions, program.params, arena, x, program.n_outputs, -7.0)

    return Target(name, valid, _changed_program, attempt, (BundleError,))


def _changed_program(rng: random.Random, data: bytes) -> bytes:
    way = rng.random()
    if way < 0.1:
        return change_bytes(rng, data)
    arrays = {key: array.copy() for key, array in load(data).items()}
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    layout = json.loads(header["__metadata__"]["layout"])
    table = arrays["instructions"]
    text: bytes | str = json.dumps(layout)
    if way < 0.2:
        text = change_json(rng, layout).decode(errors="replace")
    elif way < 0.25:
        key = rng.choice(list(arrays))
        arrays[key] = rng.choice((arrays[key][:-1], arrays[key].ravel(), arrays[key].astype("f8"), arrays[key][:0]))
    elif way < 0.3:
        values = arrays[rng.choice(("params", "initial_state"))]
        values[rng.randrange(values.size)] = rng.choice((np.nan, np.inf, 3e38, -3e38, 1e-45, 0, -1))
    elif way < 0.4:
        i, j = rng.randrange(len(table)), rng.randrange(len(table))
        table[[i, j]] = table[[j, i]]
        arrays["instructions"] = rng.choice((table, np.delete(table, i, 0), np.insert(table, j, table[i], 0)))
    else:
        for _ in range(rng.choice((1, 1, 2, 6))):
            _change_operand(rng, table, layout)
    return save(arrays, metadata={"layout": str(text)})


def _change_operand(rng: random.Random, table: np.ndarray, layout: dict[str, Any]) -> None:
    row = table[rng.randrange(len(table))]
    if rng.random() < 0.1:
        row[0] = rng.choice(list(INSTRUCTIONS))
        return
    known = INSTRUCTIONS.get(int(row[0]))
    if known is None or not known.operands:
        row[rng.randrange(WIDTH)] = rng.randrange(-2, 50)
        return
    at = rng.randrange(len(known.operands))
    kind, former = known.operands[at][1], int(row[1 + at])
    near = [former + 1, former - 1, former + rng.randrange(-20, 20), 2 * former, former // 2, 0, 1]
    far = [-1, layout["arena_size"] - 1, 1 << 24, 1 << 31, 1 << 32, (1 << 63) - 1, -(1 << 63), rng.getrandbits(62)]
    small = list(range(-1, 6)) if kind is Kind.CHOICE else []
    value = rng.choice(near if rng.random() < 0.8 else small or far)
    row[1 + at] = (value + (1 << 63)) % (1 << 64) - (1 << 63)


def steps(name: str, folder: Path) -> Target:
    """ONNX steps, for decoders that have no program."""
    valid = [step(), step(metadata=initial([10, 20]))]

    def attempt(data: bytes) -> object:
        machine: OnnxExecutor = executor(data)
        return machine.run(np.ones((2, 3), np.float32))

    return Target(name, valid, lambda rng, data: change_bytes(rng, data, valid), attempt, (BundleError, InputError))
