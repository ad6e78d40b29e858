"""The process that compiles the machine decodes bit for bit like those that find it in the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.system.support import ROOT

SCRIPT = """
import hashlib, sys
import numpy as np
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor

random = np.random.default_rng(0)
builder = Builder(182)
x = builder.boxcar(builder.input(), 8)
x = builder.layer_norm(x, random.random(182, np.float32), random.random(182, np.float32), 1e-5)
x = builder.linear(x, random.standard_normal((61, 182)).astype(np.float32), None)
x = builder.fir(x, random.random(33), "filter")
builder.output(x)
y = Executor(builder.build()).run(random.poisson(0.3, (300, 182)))
print(hashlib.sha256(y.tobytes()).hexdigest(), "numba" in sys.modules)
"""


def test_cold_and_warm_are_equal(tmp_path: Path) -> None:
    cold, warm = (
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env={**os.environ, "BMI_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    )
    assert ("compiling" in cold.stderr, "compiling" in warm.stderr) == (True, False)
    assert cold.stdout == warm.stdout
    assert warm.stdout.split()[1] == "False", "a process that has the code needs no compiler"
