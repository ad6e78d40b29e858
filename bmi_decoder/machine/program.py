"""A program of the streaming machine: plain arrays, proven safe before they run."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from bmi_decoder.errors import ProgramError
from bmi_decoder.machine.verify import verify

FORMAT = 1

LINE = 16
"""Elements of a cache line."""


@dataclass(frozen=True, eq=False)
class Program:
    """Instructions over two float32 arrays: read-only parameters and the arena.

    Parameters
    ----------
    instructions : array (N, WIDTH) of int64
        Opcode and operands, see `bmi_decoder.machine.instruction_set`.
    params : array (P,) of float32
    initial_state : array (S,) of float32
        The first S elements of the arena are the state; this is what a reset copies there.
    arena_size : int
        Elements of the arena, state included. Everything behind the state is scratch: verified never to be
        read before it is written within one bin.
    n_inputs, n_outputs : int
        Length of an input row and of an output row.
    state_fields : mapping of name to (offset, length)
        What the state's elements mean.
    """

    instructions: npt.NDArray[np.int64]
    params: npt.NDArray[np.float32]
    initial_state: npt.NDArray[np.float32]
    arena_size: int
    n_inputs: int
    n_outputs: int
    state_fields: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def verify(self) -> None:
        """Prove that running this program cannot touch memory outside its arrays.

        Raises
        ------
        ProgramError
            Naming the first instruction that is not safe, and why.
        """
        verify(self.instructions, self.params, self.initial_state, self.arena_size, self.n_inputs, self.n_outputs)
        for name, (offset, length) in self.state_fields.items():
            if not 0 <= offset <= offset + length <= self.initial_state.size:
                raise ProgramError(
                    f"state field {name!r} is elements {offset}:{offset + length}, "
                    f"outside the state 0:{self.initial_state.size}"
                )

    def to_bytes(self) -> bytes:
        """Serialise as safetensors: arrays and a JSON header, nothing that executes."""
        layout = {
            "format": FORMAT,
            "arena_size": self.arena_size,
            "n_inputs": self.n_inputs,
            "n_outputs": self.n_outputs,
            "state_fields": self.state_fields,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "instructions": self.instructions,
            "params": self.params,
            "initial_state": self.initial_state,
        }
        return save_safetensors(arrays, metadata={"layout": json.dumps(layout, sort_keys=True)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Parse and verify a serialised program.

        Raises
        ------
        ProgramError
            If the data is not a program or the program is not safe.
        """
        layout = _layout(data)
        try:
            arrays = load_safetensors(data)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise ProgramError(f"program is not a safetensors file: {error}") from None
        if set(arrays) != {"instructions", "params", "initial_state"}:
            raise ProgramError(f"program must hold instructions, params and initial_state, got {sorted(arrays)}")
        program = cls(
            **{name: aligned(array) for name, array in arrays.items()},
            arena_size=layout["arena_size"],
            n_inputs=layout["n_inputs"],
            n_outputs=layout["n_outputs"],
            state_fields=layout["state_fields"],
        )
        program.verify()
        return program


def aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that begins at a cache line. Numpy's own large arrays do not, and weights then take 8 to 15 % longer."""
    whole = np.zeros(array.nbytes + 4 * LINE, np.uint8)
    start = -whole.ctypes.data % (4 * LINE)
    copied = whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied


def _layout(data: bytes) -> dict[str, Any]:
    try:
        header_size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + header_size])
        layout = json.loads(header["__metadata__"]["layout"])
        if layout["format"] != FORMAT:
            raise ProgramError(
                f"program has format {reprlib.repr(layout['format'])}, this version reads format {FORMAT}"
            )
        sizes = {name: layout[name] for name in ("arena_size", "n_inputs", "n_outputs")}
        if not all(type(size) is int for size in sizes.values()):
            raise ValueError(f"sizes must be integers, got {sizes}")
        fields = {str(name): (int(offset), int(length)) for name, (offset, length) in layout["state_fields"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ProgramError(f"program has no readable layout: {repr(error)[:200]}") from None
    return {**sizes, "state_fields": fields}
