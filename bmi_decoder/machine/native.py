"""The compiled machine, as every process calls it: found in the cache, or compiled once by a child process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.call import Call
from bmi_decoder.machine.code_cache import machine_code
from bmi_decoder.machine.load import load

run_call, run_live, pull_address = load(machine_code())
"""The compiled functions: `Call.address` to None, the address of `LiveFields` to an `Outcome`, and where `pull` is.

Nothing is bounds-checked there: only programs that `Program.verify` accepted may be run.
"""


def run(
    instructions: npt.NDArray[np.int64],
    params: npt.NDArray[np.float32],
    arena: npt.NDArray[np.float32],
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.float32],
) -> None:
    """Run a verified program for each row of `x`, writing each row of `y`; see `Call` for the arrays."""
    call = Call(instructions, params, arena, x.shape[1], y.shape[1])
    call.bind(x, y)
    run_call(call.address)
